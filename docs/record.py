"""Keep of a finished run what figures are drawn from, for the gallery and the tests of figures.

python docs/record.py RUN            # writes docs/recorded/quickstart, a megabyte
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

RECORDED = Path(__file__).resolve().parent / "recorded" / "quickstart"
KEPT = ("run.json", "recipe.toml", "journal.jsonl", "result.json")


def record(run: Path, target: Path = RECORDED) -> None:
    """Copy facts, log, spectra of the dense network and the finalists, and the winner's masks."""
    result = json.loads((run / "result.json").read_text())
    finalists = [c["name"] for c in result["candidates"] if c["state"] in ("winner", "finalist")]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in KEPT:
        shutil.copyfile(run / name, target / name)
    log = (run / "log.jsonl").read_text().replace(json.dumps(str(run)), '"runs/quickstart"')
    (target / "log.jsonl").write_text(log)
    for name in ("dense", *finalists):
        shutil.copytree(run / name / "spectra", target / name / "spectra")
    start = run / result["winner"] / "start.safetensors"
    shutil.copyfile(start, target / result["winner"] / "start.safetensors")
    weights = load_file(run / result["winner"] / "best.safetensors")
    masks = {name: tensor for name, tensor in weights.items() if name.startswith("mask/")}
    save_file(masks, target / result["winner"] / "best.safetensors")


if __name__ == "__main__":
    record(Path(sys.argv[1]).resolve())
