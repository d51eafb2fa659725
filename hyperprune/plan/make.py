"""Make the plan of a run from its recipe."""

from __future__ import annotations

from hyperprune.events import Plan
from hyperprune.recipe import Recipe
from hyperprune.search.rounds import halving, spent


def make_plan(recipe: Recipe, size: int | None) -> Plan:
    """Plan a recipe's run; `size` configurations (None: endlessly many) may limit the pool."""
    asked = recipe.search.candidates
    candidates = asked if size is None else min(asked, size)
    finalists = min(recipe.final.finalists, candidates)
    budget = recipe.train.epochs
    steps = recipe.rounds
    rounds = halving(candidates, steps.first, steps.epochs, steps.keep, finalists)
    return Plan(
        title=recipe.title,
        candidates=candidates,
        rounds=rounds,
        finalists=finalists,
        epochs=budget,
        dense_epochs=budget * recipe.final.seeds,
        search_epochs=spent(rounds, finalists, budget)
        + finalists * budget * (recipe.final.seeds - 1),
        full_search_epochs=candidates * budget,
    )
