"""Checks of a recipe that fixes how much every network keeps, and lets its size vary."""

from __future__ import annotations

from collections.abc import Iterator

from hyperprune.recipe.problems import Problem
from hyperprune.recipe.records import Recipe
from hyperprune.search.space import Space, Values
from hyperprune.terms.blocks import WHOLE, n_of_m


def check_budget(recipe: Recipe, space: Space) -> Iterator[Problem]:
    """Yield what contradicts a budget."""
    prune = recipe.prune
    if not prune.budgeted:
        return
    key = "prune.active" if prune.active is not None else "prune.budget"
    if prune.active is not None and prune.budget is not None:
        yield Problem("prune.budget", "found beside prune.active; say one", also=("prune.active",))
    if recipe.search.goal != "perplexity":
        yield Problem(
            "search.goal",
            f"found {recipe.search.goal!r}; within {key} all networks are of one size",
            also=(key,),
        )
    for given in recipe.dense.given:
        yield Problem(
            f"dense.{given}",
            f"the dense reference within {key} is trained; leave it out",
            also=(key,),
        )
    varying = {item.path: item.domain for item in space.dimensions}
    if "prune.sparsity" in varying:
        yield Problem("space.prune.sparsity", f"follows from {key}; leave it out", also=(key,))
    if not recipe.arms and not any(path.startswith("model.") for path in varying):
        yield Problem(
            key,
            f"every network is the dense one: list model.{prune.width} in [space], or name arms that set it",
            also=("space",),
        )
    domain = varying.get("prune.block")
    for name in domain.values if isinstance(domain, Values) else (prune.block,):
        if name in WHOLE or n_of_m(name):
            yield Problem(
                "prune.block",
                f"found {name!r}; {key} is kept by single weights and by [rows, columns]",
                also=(key, "space.prune.block", "space.block"),
            )
