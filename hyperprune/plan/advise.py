"""A first recipe for data, a network, a sparsity and a time: what fits, by the estimate of `--dry-run`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hyperprune.errors import CorpusError, RecipeError, nearest
from hyperprune.plan.estimate import estimate
from hyperprune.plan.first_recipe import Size, Wish, first_recipe, later_round
from hyperprune.plan.make import make_plan
from hyperprune.plan.own_data import Found, find, wrong_data
from hyperprune.plan.settle import settle
from hyperprune.plugins import registry
from hyperprune.recipe import loads
from hyperprune.recipe.records import Recipe
from hyperprune.terms.duration import duration

WIDTHS = (320, 160, 80, 40)
"""Units of a layer that are tried, the most first; multiples of what chunks and heads come in."""
PLANS = ((40, 100), (24, 60), (16, 40), (12, 24), (8, 16), (8, 10), (4, 8), (4, 6))
"""Candidates and epochs of the full budget, the most first; six epochs hold two updates of a first round."""
ENOUGH = (8, 10)
"""The least plan for which a wider network is worth its time."""
SHARES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02)
"""Of the training data, where all of them take too long."""
MARGIN = 0.8
"""Share of the time that an estimate from a few steps may fill."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Advice:
    """A recipe as commented TOML, and the seconds that it is estimated to take here."""

    text: str
    seconds: float


def seconds_of_words(words: str) -> float:
    """Seconds of `90s`, `30m`, `2h` or `1d`; raises RecipeError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", words.lower())
    if found is None or float(found[1]) <= 0:
        raise RecipeError(
            [f"time: found {words!r}; expected a number with s, m, h or d, such as 30m"]
        )
    return float(found[1]) * UNITS[found[2]]


def advise(wish: Wish) -> Advice:
    """The largest search that fits; raises RecipeError where none does, or an answer is wrong."""
    _check(wish)
    found = find(wish.data, wish.task)
    fallback: Advice | None = None
    shortest = float("inf")
    for share in SHARES:
        for width in WIDTHS:
            try:
                fitting, shortest = _fitting(wish, found, width, share, shortest)
            except CorpusError:
                if share == 1.0:
                    raise
                break  # a share of the data that is none: a class is missing, or too little is left
            if fitting is not None and fitting[1] in PLANS[: PLANS.index(ENOUGH) + 1]:
                return fitting[0]
            if fitting is not None and fallback is None:
                fallback = fitting[0]
        if fallback is not None:
            return fallback
    raise RecipeError(
        [
            f"time: {duration(wish.seconds)} is too short here; the smallest search takes about "
            f"{duration(shortest / MARGIN)}"
        ]
    )


def _fitting(
    wish: Wish, found: Found, width: int, share: float, shortest: float
) -> tuple[tuple[Advice, tuple[int, int]] | None, float]:
    """The largest plan of one network and share of the data that fits, and the shortest seen."""
    settled = settle(loads(first_recipe(wish, found, Size(width, share, *PLANS[-1]))))
    cost = estimate(settled)
    for plan in PLANS:
        planned = make_plan(_planned(settled.recipe, plan), None)
        seconds = cost.epoch * (planned.dense_epochs + planned.search_epochs / settled.workers)
        shortest = min(shortest, seconds)
        if seconds <= MARGIN * wish.seconds:
            text = first_recipe(wish, found, Size(width, share, *plan, seconds))
            return (Advice(text, seconds), plan), shortest
    return None, shortest


def _planned(recipe: Recipe, plan: tuple[int, int]) -> Recipe:
    """The same recipe with other candidates and epochs, as `first_recipe` writes them."""
    candidates, epochs = plan
    changed = {
        "search": recipe.search.model_copy(update={"candidates": candidates}),
        "train": recipe.train.model_copy(update={"epochs": epochs}),
        "rounds": recipe.rounds.model_copy(update={"epochs": later_round(epochs)}),
    }
    return recipe.model_copy(update=changed)


def _check(wish: Wish) -> None:
    """Raise RecipeError for answers that no recipe could hold, all of them together."""
    asked = {"network": ("model", wish.network), "task": ("task", wish.task)}
    problems = []
    for said, (kind, name) in asked.items():
        known = registry().names(kind)
        if name is not None and name not in known:
            listed = ", ".join(known)
            problems.append(f"{said}: found {name!r}{nearest(name, known)}; {said}s: {listed}")
    if not 0 < wish.sparsity < 1:
        problems.append(f"sparsity: found {wish.sparsity:g}; expected a number above 0 and below 1")
    if (wrong := wrong_data(wish.data)) is not None:
        problems.append(f"data: {wrong}")
    if problems:
        raise RecipeError(problems)
