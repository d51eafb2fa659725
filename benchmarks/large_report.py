"""How long a report of 500 candidates × 100 epochs takes, and how large it is.

python benchmarks/large_report.py [CANDIDATES [EPOCHS]]

The run is made up from the recorded one: journal and log of as many trainings, without spectra.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

RECORDED = Path(__file__).resolve().parents[1] / "docs" / "recorded" / "quickstart"


def made_up(folder: Path, candidates: int, epochs: int) -> Path:
    """A run folder of so many candidates, each trained to the end."""
    folder.mkdir(parents=True)
    shutil.copytree(RECORDED / "dense", folder / "dense")
    shutil.copyfile(RECORDED / "recipe.toml", folder / "recipe.toml")
    made = json.loads((RECORDED / "run.json").read_text())
    made["recipe"]["train"]["epochs"] = epochs
    made["recipe"]["search"]["candidates"] = candidates
    (folder / "run.json").write_text(json.dumps(made))
    facts = [json.loads(line) for line in (RECORDED / "journal.jsonl").read_text().splitlines()]
    corpus = next(fact for fact in facts if fact["fact"] == "corpus")
    sparse = next(f for f in facts if f["fact"] == "trained" and f["candidate"] != "dense")
    dense = next(f for f in facts if f["fact"] == "trained" and f["candidate"] == "dense")
    setting = next(fact for fact in facts if fact["fact"] == "proposed")
    lines, told = [corpus, dense], []
    for number in range(candidates):
        name = f"c{number:03d}"
        rate = 0.3 + 0.6 * number / candidates
        configuration = {**setting["configuration"], "prune.removal_rate": rate}
        lines.append({**setting, "candidate": name, "configuration": configuration})
        last = sparse["epochs"][-1]
        course = [
            {**last, "epoch": e, "valid_loss": 4.0 + 1.5 / (e + 1) + rate * (number % 7) / 20}
            for e in range(1, epochs + 1)
        ]
        lines.append({**sparse, "candidate": name, "epochs": course})
        for e in range(1, epochs + 1):
            told.append(
                {
                    "time": f"2026-01-01T{number // 60 % 24:02}:{number % 60:02}:{e % 60:02}",
                    "event": "SpectrumMeasured",
                    "candidate": name,
                    "epoch": e,
                    "valid_loss": 5.0,
                    "distance": 5 + rate + 3 / e,
                    "standard_error": 0.5,
                    "noise": 1.0,
                    "largest": -0.1,
                    "floored": 0,
                }
            )
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    return folder


def main() -> None:
    """Make, report, and say."""
    from hyperprune.report.html import write_report

    candidates, epochs = (int(word) for word in (*sys.argv[1:3], "500", "100")[:2])
    with tempfile.TemporaryDirectory() as place:
        folder = made_up(Path(place) / "run", candidates, epochs)
        write_report(RECORDED, Path(place) / "warm.html")  # imports are not what is timed
        wall, cpu = time.perf_counter(), time.process_time()
        page = write_report(folder, Path(place) / "report.html")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = page.stat().st_size / 1e6
        print(f"{candidates} × {epochs}: {wall:.1f} s, {cpu:.1f} s of processor, {size:.2f} MB")


if __name__ == "__main__":
    main()
