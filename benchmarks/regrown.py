"""What a weight that one update removes and grows again should do: keep its value, or start at 0.

    python benchmarks/regrown.py --seeds 4     # an LSTM 2×64 on Python's help topics; no download

The rule, fixed before the first figure: `keep` becomes the default if the mean over seeds, sparsities
and growths of ln(perplexity with keep / with reset) lies below 0 by more than its standard error, and
at neither sparsity above 0 by more than its own; else the default is `reset`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
from collections.abc import Iterable
from pathlib import Path

import torch

from hyperprune.recipe import load_recipe
from hyperprune.training.build import build_trainer, load_task

TARGET = Path(__file__).parent / "results" / "regrown.json"


def perplexity(seed: int, sparsity: float, growth: str, regrown: str) -> float:
    """Validation perplexity of an LSTM 2×64 on Python's help topics after eight epochs."""
    recipe = load_recipe(
        "small/pydoc_training",
        [
            "train.epochs=8",
            f"seed={seed}",
            f"prune.sparsity={sparsity}",
            f"prune.growth={growth}",
            f"prune.regrown={regrown}",
            "prune.init=er",
            "prune.init_scale=variance",
            "space={}",
            "train.threads=1",
        ],
    )
    trainer = build_trainer(recipe, load_task(recipe), sparse=True)
    losses = [trainer.run_epoch().valid_loss for _ in range(recipe.train.epochs)]
    return math.exp(losses[-1])


def verdict(ratios: Iterable[float]) -> tuple[float, float]:
    """Mean of ln(keep / reset) and its standard error."""
    logs = [math.log(ratio) for ratio in ratios]
    error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.inf
    return statistics.fmean(logs), error


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep or reset what comes back at once.")
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    cases = itertools.product(range(1, arguments.seeds + 1), (0.67, 0.9), ("gradient", "random"))
    for seed, sparsity, growth in cases:
        row = {"seed": seed, "sparsity": sparsity, "growth": growth}
        row |= {mode: perplexity(seed, sparsity, growth, mode) for mode in ("keep", "reset")}
        rows.append(row)
        found = {
            name: dict(zip(("mean", "error"), verdict(chosen), strict=True))
            for name, chosen in {
                "all": [r["keep"] / r["reset"] for r in rows],
                **{
                    f"{key} {value}": [r["keep"] / r["reset"] for r in rows if r[key] == value]
                    for key, values in (
                        ("sparsity", (0.67, 0.9)),
                        ("growth", ("gradient", "random")),
                    )
                    for value in values
                    if any(r[key] == value for r in rows)
                },
            }.items()
        }
        print(row, found["all"], flush=True)
        TARGET.write_text(json.dumps({"ln keep / reset": found, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
