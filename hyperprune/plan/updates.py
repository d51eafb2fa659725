"""Whether the topology of a recipe's candidates ever changes."""

from __future__ import annotations

from collections.abc import Iterator

from hyperprune.recipe import apply
from hyperprune.recipe.records import Prune, Recipe
from hyperprune.runtime.seeds import derive
from hyperprune.search.space import Space, Values
from hyperprune.task import Task
from hyperprune.training.build import training_cut


def standing_still(recipe: Recipe, space: Space, task: Task) -> tuple[str, ...]:
    """A notice for each rhythm of updates that training ends before: the first would come too late."""
    train, steps, notices = recipe.train, 0, []
    for update, stop in dict.fromkeys(_rhythms(recipe, space)):
        if update == "epoch":
            never, often = stop * train.epochs <= 1, "epoch"
        else:
            steps = steps or _steps(recipe, task)
            never, often = int(update) >= stop * train.epochs * steps, f"{update:,} steps"
        if never:
            notices.append(
                f"the topology never changes where prune.update is every {often}: updates end after "
                f"{stop:.0%} of {train.epochs} epochs{f' of {steps:,} steps' if steps else ''}"
            )
    return tuple(notices)


def _steps(recipe: Recipe, task: Task) -> int:
    """Steps of an epoch: of the first, where they are drawn."""
    return len(task.epoch(training_cut(recipe.train), derive(recipe.seed, "segments", 0)))


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
