"""What changed since a run was made, and whether it can still go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyperprune.errors import RunError
from hyperprune.plan.crew import resources
from hyperprune.recipe import load_recipe
from hyperprune.recipe.records import Recipe
from hyperprune.store import layout
from hyperprune.store.run import MAY_CHANGE, Run, environment
from hyperprune.terms.keys import dotted


def check_unchanged(run: Run, overrides: Sequence[str] = ()) -> tuple[Recipe, list[str]]:
    """Read a run's recipe, changed by overrides, and name what differs from when it was made.

    Raises RunError for recipe keys that would make it another experiment; versions, threads and
    plugins are named, and the run goes on, no longer promising the same bits.
    """
    made = run.made()
    run.check_code()  # before any of it is run
    path = run.folder / layout.RECIPE
    if not path.exists():  # stopped before it was written, or lost
        run.write_recipe(made.recipe)
    recipe = load_recipe(path, overrides)
    before, now = _settings(made.recipe), _settings(recipe)
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    fixed = [key for key in changed if not may_change(key)]
    if fixed:
        lines = [f"  {key}: was {before.get(key)!r}, now {now.get(key)!r}" for key in fixed]
        raise RunError(
            f"{path} was changed since the run began:\n"
            + "\n".join(lines)
            + "\nchange it back, or start a new run"
        )
    notices = [f"{key} changed from {before.get(key)!r} to {now.get(key)!r}" for key in changed]
    notices += other_versions(made.made_with, recipe, "the run began")
    return recipe, notices


def other_versions(made_with: Mapping[str, Any], recipe: Recipe, when: str) -> list[str]:
    """What a run would be made with now that it was not made with then, a sentence each."""
    then = dotted(made_with)
    today = dotted(environment(*resources(recipe)))
    return [
        f"{key} was {then.get(key)!r} when {when} and is {today.get(key)!r} now: "
        "results may differ in the last digits"
        for key in sorted(then.keys() | today.keys())
        if then.get(key) != today.get(key)
    ]


def may_change(key: str) -> bool:
    """Whether a run may go on with another value of a key: `search.executor.name` as well."""
    return any(key == free or key.startswith(f"{free}.") for free in MAY_CHANGE)


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Every setting by its key, and the order of the space, in which searchers draw."""
    return {**dotted(recipe.model_dump(mode="json")), "space": list(recipe.space)}
