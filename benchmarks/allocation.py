"""What giving memory back costs a training epoch: pages kept against glibc as it comes, turn about.

    python benchmarks/allocation.py [--rounds 3] [--write]

Each side is a process of its own, of one thread: a stacked LSTM 2×128 on a 25th of the Penn Treebank
(HYPERPRUNE_DATA), the settings of benchmarks/tables/ptb_training.toml. Processor seconds of three epochs
after a first that is not counted, in the program and in the system, and page faults.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardware import processor

HERE = Path(__file__).parent
SIDES = ("as it comes", "kept")
PRECISIONS = ("float32", "bfloat16")


def measure(side: str, precision: str) -> dict[str, Any]:
    """Train in this process, and say what three epochs took."""
    import torch

    from hyperprune.recipe import load_recipe
    from hyperprune.runtime.allocation import keep_freed_memory
    from hyperprune.training.build import build_trainer, load_task

    torch.set_num_threads(1)
    if side == "kept":
        keep_freed_memory()
    small = ["data.train_fraction=0.04", "data.eval_fraction=0.02", f"train.precision={precision}"]
    recipe = load_recipe(str(HERE / "tables" / "ptb_training.toml"), small)
    trainer = build_trainer(recipe, load_task(recipe), sparse=True)
    trainer.run_epoch()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(3):
        last = trainer.run_epoch()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "program": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "page faults": after.ru_minflt - before.ru_minflt,
        "resident": after.ru_maxrss / 1024,  # MiB
        "validation": last.valid_loss,
    }


def main() -> None:
    """Both precisions, the sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(measure(*asked.side)))
        return
    found: dict[str, dict[str, Any]] = {}
    for precision in PRECISIONS:
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(asked.rounds):
            for side in SIDES:
                command = [sys.executable, __file__, "--side", side, precision]
                runs[side].append(json.loads(subprocess.check_output(command)))
        assert len({run["validation"] for side in runs.values() for run in side}) == 1
        middle = {
            side: {key: statistics.median(run[key] for run in done) for key in done[0]}
            for side, done in runs.items()
        }
        took = [middle[side]["program"] + middle[side]["system"] for side in SIDES]
        found[precision] = middle | {"ratio": took[1] / took[0]}
        print(precision, json.dumps(found[precision], indent=2))
    if asked.write:
        stamp = {"date": datetime.now(UTC).date().isoformat(), "processor": processor()}
        text = json.dumps(stamp | {"rounds": asked.rounds, "results": found}, indent=2) + "\n"
        (HERE / "results" / "allocation.json").write_text(text)


if __name__ == "__main__":
    main()
