"""Weights and masks of the networks that a run folder keeps, by name; nothing of theirs is built."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hyperprune.errors import RunError, nearest
from hyperprune.store import atomic
from hyperprune.store.run import Run
from hyperprune.store.training import split_masks
from hyperprune.training.outcome import DENSE, int8_name, is_int8, repeat_name, repeat_of


def training_name(run: Run, name: str) -> str:
    """The training that a name means: its own, or by an arm's name: `"c003-s2"`, `"RigL-int8"`.

    Raises RunError where there is none.
    """
    arms = {arm: candidate for candidate, arm in run.made().recipe.arm_names.items()}
    known = [DENSE, *run.proposed()]
    first, number = (arms[name], 1) if name in arms else repeat_of(name)
    first = arms.get(first, first)
    found = repeat_name(first, number) if number > 1 else first
    if is_int8(name) and name not in arms:
        found = int8_name(first)
    if first not in known or (found != first and not run.outcome(found)):
        raise RunError(f"no candidate {name!r} in {run.folder}{nearest(name, [*known, *arms])}")
    return found


def kept_tensors(run: Run, name: str) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Weights and masks of a training at its best epoch; raises RunError where they are gone."""
    path = run.training(name).best
    if not path.exists():
        started = run.outcome(name) is not None
        why = (
            'weights of eliminated candidates are kept where the recipe says final.keep = "all"'
            if started and run.made().recipe.final.keep != "all"
            else "no epoch of it is finished"
            if not started
            else "bring the file back"
        )
        raise RunError(f"{run.folder} holds no weights of {name}: {why}")
    return split_masks(atomic.read_tensors(path)[0])
