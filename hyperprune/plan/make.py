"""Make the plan of a run from its recipe."""

from __future__ import annotations

from hyperprune.events import Plan
from hyperprune.recipe import Recipe
from hyperprune.search.rounds import halving, spent


def make_plan(recipe: Recipe, size: int | None) -> Plan:
    """Plan a recipe's run; `size` configurations (None: endlessly many) may limit the pool."""
    size = len(recipe.arms) or size
    asked = len(recipe.arms) or recipe.search.candidates
    candidates = asked if size is None else min(asked, size)
    budget = recipe.train.epochs
    steps = recipe.rounds
    rounds: tuple[tuple[int, int], ...]
    if recipe.in_full:
        finalists, rounds = candidates, ((candidates, budget),)
    else:
        finalists = min(recipe.final.finalists, candidates)
        rounds = halving(candidates, steps.first, steps.epochs, steps.keep, finalists)
    further = finalists * (budget * (recipe.final.seeds - 1) + recipe.final.int8_epochs)
    return Plan(
        title=recipe.title,
        candidates=candidates,
        rounds=rounds,
        finalists=finalists,
        epochs=budget,
        dense_epochs=0 if recipe.dense.given else budget * recipe.final.seeds,
        search_epochs=spent(rounds, finalists, budget) + further,
        full_search_epochs=candidates * budget + further,
        int8_epochs=recipe.final.int8_epochs,
        distances=recipe.compares_spectra,
    )
