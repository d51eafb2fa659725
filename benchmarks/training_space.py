"""Objectives where training hyper-parameters vary: the winner of `small/pydoc_training` by each, over seeds.

python benchmarks/training_space.py [--objectives loss both] [--seeds 5] [--set key=value …]
    [--out benchmarks/results/training_space.json]

Every search is a run of its own, in a folder beside the result while it is under way; a run that is
finished is not made again, so that the script goes on where it was stopped. Validation perplexity of the
winner at its best epoch, mean and standard deviation over seeds, and paired differences to the loss.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import torch

import hyperprune

RECIPE = "small/pydoc_training"


def search(folder: Path, objective: str, seed: int, settings: list[str]) -> dict[str, Any]:
    """One search; its winner beside its dense network."""
    overrides = [f"search.objective={objective}", f"seed={seed}", *settings]
    if (folder / "run.json").exists():
        result = hyperprune.resume(folder)
    else:
        result = hyperprune.run(RECIPE, overrides=overrides, folder=folder)
    return {
        "winner": result.best.valid_value,
        "winner_test": result.test_value,
        "dense": result.dense_value,
        "dense_test": result.dense_test_value,
        "configuration": dict(result.best.configuration),
        "epochs": result.search_epochs,
        "met": result.best.met_target is not None,
    }


def summary(rows: dict[str, dict[str, Any]], objectives: list[str]) -> dict[str, Any]:
    """Mean and standard deviation by objective, and differences to the loss at the same seeds."""
    found: dict[str, Any] = {}
    winners = {
        objective: {
            key.split("/")[1]: row["winner"]
            for key, row in rows.items()
            if key.split("/")[0] == objective
        }
        for objective in objectives
    }
    for objective, values in winners.items():
        both = [seed for seed in values if seed in winners.get("loss", {})]
        gaps = [values[seed] - winners["loss"][seed] for seed in both]
        found[objective] = {
            "mean": statistics.fmean(values.values()) if values else None,
            "deviation": statistics.stdev(values.values()) if len(values) > 1 else None,
            "less_loss": statistics.fmean(gaps) if gaps else None,
            "seeds": len(values),
        }
    return found


def main() -> None:
    """Run what is missing, and write what there is after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objectives", nargs="+", default=["loss", "both"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training_space.json"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "training_space")
    given = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    if given.out.exists():
        rows = json.loads(given.out.read_text())["rows"]
    for seed in range(1, given.seeds + 1):
        for objective in given.objectives:
            key = f"{objective}/{seed}"
            if key not in rows:
                folder = given.work / key.replace("/", "-")
                folder.parent.mkdir(parents=True, exist_ok=True)
                rows[key] = search(folder, objective, seed, given.settings)
            told = {
                "command": "python benchmarks/training_space.py",
                "settings": given.settings,
                "made": f"{date.today()}, {platform.machine()}, torch {torch.__version__}",
                "summary": summary(rows, given.objectives),
                "rows": rows,
            }
            given.out.write_text(json.dumps(told, indent=1) + "\n")
    for objective, found in summary(rows, given.objectives).items():
        print(objective, found)


if __name__ == "__main__":
    main()
