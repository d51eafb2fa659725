"""How much disk a run will fill, before it starts."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.events import Plan
from hyperprune.plugins import registry
from hyperprune.recipe import apply
from hyperprune.recipe.records import Prune, Recipe, Train
from hyperprune.search.space import Space, Values, name_of

FLOAT, COUNT, MASK, DOUBLE = 4, 4, 1, 8
"""Bytes of an entry: a weight, a step count, a mask's bit, an exponent."""

AVERAGES = {"snt_asgd": FLOAT + COUNT, "adam": 2 * FLOAT, "adamw": 2 * FLOAT}
"""Bytes that an optimiser keeps for each weight, once it averages."""

JOURNALED = 4096
"""Bytes of journal, log and headers an epoch."""


def checkpoint_bytes(weights: int, train: Train, epoch: int, *, gradients: bool = True) -> int:
    """Largest checkpoint after an epoch: weights, averages, masks, ever-active masks, and averaged
    gradients where a control reads them. SNT-ASGD has no averages while its trigger cannot fire."""
    early = train.optimizer == "snt_asgd" and epoch <= train.nonmono + 1
    averages = 0 if early else AVERAGES.get(train.optimizer, 0)
    return weights * (FLOAT + averages + 2 * MASK + (FLOAT if gradients else 0))


def best_bytes(weights: int) -> int:
    """Weights and masks of a training's best epoch."""
    return weights * (FLOAT + MASK)


def run_bytes(plan: Plan, weights: int, recipe: Recipe, space: Space, workers: int) -> int:
    """Most bytes that the folder of a run may come to; `weights` is how many its model has.

    The fullest of its stages: the checkpoints of who is still in the race and each worker's next one
    beside its last, the dense reference's beside the first; best weights of the same, or of all where
    `final.keep` says so; and every spectrum. A layer of H units has at least 4 H² weights, so
    √weights stands for the number of exponents.
    """
    train, best = recipe.train, best_bytes(weights)
    spectrum = math.isqrt(weights) * DOUBLE * (recipe.spectrum.sequences + 4)
    methods = [recipe.prune, *(apply(recipe, arm.settings).prune for arm in recipe.arms)]
    gradients = any(keeps_gradients(prune, space) for prune in methods)
    dense = checkpoint_bytes(weights, train, train.epochs, gradients=False)
    fullest = 0
    for number, (count, epoch) in enumerate((*plan.rounds, (plan.finalists, plan.epochs))):
        checkpoint = checkpoint_bytes(weights, train, epoch, gradients=gradients)
        beside = dense if number == 0 else 0
        kept = plan.candidates if recipe.final.keep == "all" else count
        fullest = max(fullest, (count + workers) * checkpoint + beside + kept * best)
    return (
        fullest
        + 2 * best  # the dense reference's, and the winner's, which are written out once more
        + (2 * plan.finalists * best if plan.int8_epochs else 0)  # where they begin, and their best
        + (plan.epochs + plan.search_epochs) * (spectrum + JOURNALED)
    )


def keeps_gradients(prune: Prune, space: Space) -> bool:
    """Whether a control that a recipe or its space names reads averaged gradients."""
    for kind in ("removal", "growth", "redistribution"):
        named = [getattr(prune, kind).name]
        for dimension in space.dimensions:
            if dimension.path == f"prune.{kind}" and isinstance(dimension.domain, Values):
                named += [name_of(value) for value in dimension.domain.values]
        if any(getattr(registry().get(kind, name).target, "averages", False) for name in named):
            return True
    return False


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
    """Bytes of each file in a folder; files that cannot be read are left out."""
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                yield (Path(place) / name).lstat().st_size
