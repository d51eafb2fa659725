"""How much disk a run will fill, before it starts."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.plan.record import Plan
from hyperprune.recipe.records import Recipe

FLOAT, COUNT, MASK, DOUBLE = 4, 4, 1, 8
"""Bytes of an entry: a weight, a step count, a mask's bit, an exponent."""

AVERAGES = {"snt_asgd": FLOAT + COUNT, "adam": 2 * FLOAT, "adamw": 2 * FLOAT}
"""Bytes a weight that an optimiser may come to keep."""

JOURNALED = 4096
"""Bytes of journal, log and headers an epoch."""


def checkpoint_bytes(weights: int, optimizer: str) -> int:
    """Largest checkpoint: weights, averages, masks, ever-active masks, averaged gradients."""
    return weights * (FLOAT + AVERAGES.get(optimizer, 0) + 2 * MASK + FLOAT)


def best_bytes(weights: int) -> int:
    """Weights and masks of a training's best epoch."""
    return weights * (FLOAT + MASK)


def run_bytes(plan: Plan, weights: int, recipe: Recipe, workers: int) -> int:
    """Most bytes that the folder of a run may come to; `weights` is how many its model has.

    Checkpoints are many only until the first round is judged: the dense reference's, every
    candidate's, and each worker's next one beside its last. Best weights and spectra stay. A layer
    of H units has at least 4 H² weights, so √weights stands for the number of exponents.
    """
    trainings = plan.candidates + 1
    exponents = math.isqrt(weights)
    spectrum = exponents * DOUBLE * (recipe.spectrum.sequences + 4)
    return (
        (trainings + workers) * checkpoint_bytes(weights, recipe.train.optimizer)
        + (trainings + 1) * best_bytes(weights)  # the winner's are written out once more
        + (plan.epochs + plan.search_epochs) * (spectrum + JOURNALED)
    )


def check_space(folder: Path, whole: int, first: int) -> str | None:
    """Say so where a run of `whole` bytes may not fit; raises RunError where `first` will not.

    What the folder holds already counts as there.
    """
    free = shutil.disk_usage(folder).free
    left = whole - sum(_sizes(folder))
    if free < first:
        raise RunError(
            f"{folder} is on a disk with {show_bytes(free)} free; the first epochs alone write "
            f"{show_bytes(first)}: free some space, or choose another place"
        )
    if free < left:
        return (
            f"this run may fill {show_bytes(left)} of disk, and {folder} has {show_bytes(free)} "
            "free; when it is full the run stops, and goes on once there is space"
        )
    return None


def show_bytes(size: int) -> str:
    """A size as people say it: `3.2 GB`."""
    value, unit = float(max(size, 0)), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes of the files in a folder; what cannot be looked at is not ours."""
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                yield (Path(place) / name).lstat().st_size
