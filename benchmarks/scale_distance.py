"""What scaling the initial weights does to early distances, which assume a common start.

    python benchmarks/scale_distance.py

The network of small/pydoc_training, as if for eight epochs; eight configurations (init × growth ×
removal rate), each with and without scaled initial weights, before training and after epochs 1 to
3. Candidates of different density in a tensor then begin from different multiples of the same
weights, so the question is what moves: how far candidates lie from the dense network, how far apart
they are, and whether they keep their order.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hardware import processor

from hyperprune.bench.statistics import spearman
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.recipe import Recipe, load_recipe
from hyperprune.training.build import build_trainer, load_task, measure_spectrum, spectrum_text

ROOT = Path(__file__).parent.parent
BASE = ROOT / "recipes" / "small" / "pydoc_training.toml"
TARGET = Path(__file__).parent / "results" / "scale_distance.json"
EPOCHS = 3
RESOLUTION = -8.0
SPARSITIES, SCALES = (0.67, 0.9), ("none", "variance")
CONFIGURATIONS = list(itertools.product(("uniform", "er"), ("random", "gradient"), (0.3, 0.7)))


def spectra(recipe: Recipe, *, sparse: bool) -> tuple[list[LyapunovSpectrum], list[float]]:
    """Full-state spectra before training and after each epoch, and validation perplexities."""
    task = load_task(recipe)
    trainer = build_trainer(recipe, task, sparse=sparse)
    text = spectrum_text(task, recipe.spectrum)
    measured, perplexity = [measure_spectrum(trainer, text, recipe.spectrum)], []
    for _ in range(EPOCHS):
        perplexity.append(round(math.exp(trainer.run_epoch().valid_loss), 2))
        measured.append(measure_spectrum(trainer, text, recipe.spectrum))
    return measured, perplexity


def distance(a: LyapunovSpectrum, b: LyapunovSpectrum) -> float:
    """l2 between exponents, both clipped at the resolution."""
    x, y = (s.exponents.clamp(min=RESOLUTION) for s in (a, b))
    return round(float((x - y).norm()), 4)


def main() -> None:
    torch.set_num_threads(1)
    base = load_recipe(BASE, ["train.epochs=8"])
    dense, _ = spectra(base, sparse=False)
    runs: dict[str, Any] = {}
    for sparsity, scale in itertools.product(SPARSITIES, SCALES):
        for init, growth, rate in CONFIGURATIONS:
            update = {"sparsity": sparsity, "init_scale": scale, "removal_rate": rate}
            given = ["train.epochs=8", *(f"prune.{key}={value}" for key, value in update.items())]
            given += [f"prune.init={init}", f"prune.growth={growth}"]
            own, perplexity = spectra(load_recipe(BASE, given), sparse=True)
            distances = [distance(a, b) for a, b in zip(own, dense, strict=True)]
            key = f"{sparsity} {scale} {init} {growth} {rate}"
            runs[key] = {"distance": distances, "perplexity": perplexity}
            print(key, distances, perplexity, flush=True)
    record = {"summary": summary(runs), "runs": runs, "processor": processor(), "threads": 1}
    TARGET.write_text(json.dumps(record | {"torch": torch.__version__}, indent=1) + "\n")
    print(json.dumps(record["summary"], indent=1))


def summary(runs: dict[str, Any]) -> dict[str, Any]:
    """By sparsity and epoch: mean and spread of distances, and how alike the two orders are."""
    found: dict[str, Any] = {}
    for sparsity in SPARSITIES:
        sides = {
            scale: np.array(
                [
                    runs[f"{sparsity} {scale} {init} {growth} {rate}"]["distance"]
                    for init, growth, rate in CONFIGURATIONS
                ]
            )
            for scale in SCALES
        }
        found[str(sparsity)] = {
            **{f"mean, {scale}": means(values) for scale, values in sides.items()},
            **{
                f"spread, {scale}": [round(statistics.stdev(column), 2) for column in values.T]
                for scale, values in sides.items()
            },
            "spearman of the two orders": [
                round(float(spearman(a, b)), 2)
                for a, b in zip(*(s.T for s in sides.values()), strict=True)
            ],
        }
    return found


def means(values: np.ndarray[Any, Any]) -> list[float]:
    """Mean over configurations, an entry an epoch."""
    return [round(float(value), 2) for value in values.mean(0)]


if __name__ == "__main__":
    main()
