"""Whether a search can do with the dense reference that its recipe gives instead of training it."""

from __future__ import annotations

from collections.abc import Iterator

from hyperprune.plugins import registry
from hyperprune.recipe.problems import Problem
from hyperprune.recipe.records import Recipe
from hyperprune.search.objective import needs_of

LACKING = {
    "weights": {"dense": "the dense network's curve"},
    "target": {"dense": "the dense network's curve", "distances": "the dense network's spectra"},
}
"""What a reference that is given lacks: what objectives call it, and its name in words."""


def check_dense(recipe: Recipe) -> Iterator[Problem]:
    """Yield what contradicts a dense reference that is given; its plugins are known."""
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
    lacking = LACKING.get(key, {})
    objective = recipe.search.objective.name
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
            f"and dense.{key} gives none; what does without: {', '.join(able)}",
            also=("dense",),
        )
    if lacking and recipe.search.goal != "perplexity":
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
