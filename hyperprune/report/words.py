"""A run in plain words: the verdict, and what a setting means."""

from __future__ import annotations

from collections.abc import Mapping

from hyperprune.judgement.histories import History
from hyperprune.judgement.result import CandidateResult, RunResult
from hyperprune.recipe.records import Recipe
from hyperprune.terms.metric import Metric
from hyperprune.ui.budget import budget_words
from hyperprune.ui.int8 import int8_words
from hyperprune.ui.seeds import seed_words
from hyperprune.ui.text import safe

SINGLE = (
    "Each candidate was trained once: how far two seeds of one candidate lie apart is not known from "
    "this run, and a difference below it is chance."
)
"""What a verdict from single trainings leaves open."""


def noise(result: RunResult) -> str:
    """What is known of chance: how far several seeds lie apart, or that one tells nothing of it."""
    if len(result.values) < 2:
        return SINGLE
    said = seed_words(result)
    return f"Over {len(result.values)} seeds: {said}." if said else ""


def verdict(result: RunResult, histories: Mapping[str, History]) -> list[str]:
    """Who won by how much, what went out that looked better, what it cost: two sentences."""
    metric = result.metric
    won = _won(result) + _goal(result)
    if result.budget is not None:
        words = budget_words(result)
        won += f" {words[0].upper()}{words[1:]}."
    if result.int8 is not None:
        won += f" In eight bits: {int8_words(result)}."
    better = looked_better(result, histories)
    named = ", ".join(safe(name) for name in better[:4]) + (" …" if len(better) > 4 else "")
    ahead = (
        f"When it went, {named} had a better {metric.words} than the winner had after as many epochs"
        if better
        else "No eliminated candidate was ahead of the winner when it went"
    )
    if not result.search_epochs:
        return [won, f"{ahead}."]
    factor = result.full_search_epochs / result.search_epochs
    cost = (
        f"the search took {result.search_epochs:,} epochs, where training all "
        f"{len(result.candidates)} candidates to the end takes {result.full_search_epochs:,} "
        f"({factor:.1f} × as many)"
    )
    return [won, f"{ahead}; {cost}."]


def _won(result: RunResult) -> str:
    """The winner beside the next and beside its target."""
    metric = result.metric
    own, target = metric.mean(result.values), metric.mean(result.dense_values)
    said = f"{safe(result.winner)} won with a validation {metric.words} of {metric.text(own)}"
    if len(result.values) > 1:
        said += f", the mean over {len(result.values)} seeds"
    elif (second := _second(result)) is not None:
        said += f", {_beside(metric, own, second.valid_value)} {safe(second.name)}, the next"
    against = "the given target" if result.given else "the dense network"
    gap = f"{metric.text(abs(own - target))} {'better' if metric.meets(own, target) else 'worse'}"
    share = result.active / result.masked if result.masked else 1.0
    return f"{said}; with {100 * share:.3g}% of the masked weights it is {gap} than {against}."


def _second(result: RunResult) -> CandidateResult | None:
    """The next of the finalists, where the best value won."""
    others = [
        item
        for item in result.candidates
        if item.state == "finalist" and item.valid_value is not None and result.goal == "perplexity"
    ]
    return min(others, key=lambda item: result.metric.order(item.valid_value), default=None)


def _beside(metric: Metric, own: float, other: float | None) -> str:
    """By how much the winner is ahead, as it reads before the other's name."""
    gap = metric.text(None if other is None else abs(other - own))
    if gap == metric.text(0.0):
        return "as good as"
    return f"{gap} {'above' if metric.better == 'higher' else 'below'}"


def _goal(result: RunResult) -> str:
    """What the search was for, where that was a small network."""
    if result.goal == "perplexity":
        return ""
    if any(point.meets_target for point in result.frontier):
        return f" It is the sparsest finalist that meets {result.aim}."
    return f" No finalist meets {result.aim}, so the best {result.metric.words} won."


def looked_better(result: RunResult, histories: Mapping[str, History]) -> list[str]:
    """Eliminated candidates whose last value was better than the winner's after as many epochs."""
    won = histories.get(result.winner)
    if won is None:
        return []
    metric = result.metric
    at = dict(zip(won.epochs, won.value, strict=True))
    return [
        item.name
        for item in result.candidates
        if item.state == "eliminated"
        and (known := histories.get(item.name)) is not None
        and known.epochs[-1] in at
        and metric.order(known.value[-1]) < metric.order(at[known.epochs[-1]])
    ]


def meaning(path: str) -> str:
    """What a setting does, as the recipe's record says it; nothing where it says nothing."""
    section, _, key = path.partition(".")
    record = getattr(Recipe.model_fields.get(section), "annotation", None)
    field = getattr(record, "model_fields", {}).get(key)
    about = field.description if field is not None and field.description else ""
    return f"{path}: {about}" if about else path
