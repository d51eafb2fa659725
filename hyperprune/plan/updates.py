"""Whether the topology of a recipe's candidates ever changes."""

from __future__ import annotations

from collections.abc import Iterator

from hyperprune.recipe import apply
from hyperprune.recipe.records import Prune, Recipe
from hyperprune.runtime.seeds import derive
from hyperprune.search.space import Space, Values
from hyperprune.task import Cut, Task


def standing_still(recipe: Recipe, space: Space, task: Task) -> tuple[str, ...]:
    """A notice for each rhythm of updates that training ends before: the first would come too late."""
    train = recipe.train
    cut = Cut(train.batch, train.bptt, train.variable_bptt, train.max_bptt)
    found = dict.fromkeys(_rhythms(recipe, space))
    if not found:
        return ()
    steps = len(task.epoch(cut, derive(recipe.seed, "segments", 0)))
    notices = []
    for update, stop in found:
        every = steps if update == "epoch" else int(update)
        last = stop * steps * train.epochs
        if every >= last:
            often = "epoch" if update == "epoch" else f"{every:,} steps"
            notices.append(
                f"the topology never changes where prune.update is every {often}: updates end after "
                f"{last:,.0f} of {steps * train.epochs:,} steps (prune.stop = {stop:g})"
            )
    return tuple(notices)


def _rhythms(recipe: Recipe, space: Space) -> Iterator[tuple[str | int, float]]:
    """Rhythms of candidates whose topology is to change, and when it stops."""
    prunes: list[Prune] = [apply(recipe, arm.settings).prune for arm in recipe.arms]
    if not prunes:
        given = {item.path: item.domain for item in space.dimensions}.get("prune.update")
        values = given.values if isinstance(given, Values) else (recipe.prune.update,)
        prunes = [recipe.prune.model_copy(update={"update": value}) for value in values]
    for prune in prunes:
        if prune.update != "never":
            yield prune.update, prune.stop
