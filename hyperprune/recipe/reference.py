"""Whether a search can do with what its recipe gives it to compare candidates by."""

from __future__ import annotations

from collections.abc import Iterator

from hyperprune.plugins import registry
from hyperprune.recipe.problems import Problem
from hyperprune.recipe.records import Recipe
from hyperprune.search.objective import needs_of

LACKING = {
    "dense.weights": {"dense": "the dense network's curve"},
    "dense.target": {
        "dense": "the dense network's curve",
        "distances": "the dense network's spectra",
    },
    "spectrum.measure": {"distances": "the networks' spectra"},
}
"""What a recipe with such a key lacks: what objectives call it, and its name in words."""


def check_objective(recipe: Recipe) -> Iterator[Problem]:
    """Yield what the objective needs and is not there to compare; its plugins are known."""
    given = f"dense.{recipe.dense.given[0]}" if len(recipe.dense.given) == 1 else ""
    if given in LACKING:
        yield from _without(recipe, given, f"{given} gives none")
    if not recipe.spectrum.measure and not (recipe.arms and recipe.in_full):
        yield from _without(recipe, "spectrum.measure", "spectrum.measure = false measures none")


def _without(recipe: Recipe, key: str, why: str) -> Iterator[Problem]:
    lacking, objective = LACKING[key], recipe.search.objective.name
    missing = lacking.keys() & needs_of(registry().get("objective", objective).target)
    if missing:
        able = [
            item.name
            for item in registry().of_kind("objective")
            if not lacking.keys() & needs_of(item.target)
        ]
        yield Problem(
            "search.objective",
            f"found {objective!r}, which needs {' and '.join(lacking[what] for what in sorted(missing))}, "
            f"and {why}; what does without: {', '.join(able)}",
            also=(key.partition(".")[0],),
        )


def check_dense(recipe: Recipe) -> Iterator[Problem]:
    """Yield what contradicts a dense reference that is given."""
    given = recipe.dense.given
    if len(given) > 1:
        yield Problem("dense", f"found {' and '.join(given)}; expected one of them")
        return
    if not given:
        return
    (key,) = given
    if recipe.arms:
        yield Problem(
            f"dense.{key}",
            "a study trains its dense network as an arm, from every seed; leave this out",
            also=("arms",),
        )
    if f"dense.{key}" in LACKING and recipe.search.goal != "perplexity":
        yield Problem(
            "search.goal",
            f"found {recipe.search.goal!r}, which holds young networks against the dense network's "
            f"curve, and dense.{key} gives none; train it, or give dense.run",
            also=("dense",),
        )
    if key == "weights" and recipe.spectrum.reference == "same_loss":
        yield Problem(
            "spectrum.reference",
            "found 'same_loss'; dense.weights has one spectrum to compare with; leave this out",
            also=("dense",),
        )
