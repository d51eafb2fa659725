"""Searches compared on a table, and what each is charged.

Every search has the same budget B, and the largest pool that it can afford. Epochs are charged as
benchmarks/tables/PREREGISTRATION.md says: what an objective uses of the dense reference and of spectra
costs what it takes to have it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from hyperprune.bench import multi_fidelity
from hyperprune.bench.early import PREREGISTERED, Early, preregistered
from hyperprune.bench.signals import Study
from hyperprune.plugins import registry
from hyperprune.recipe.records import Rounds, Search
from hyperprune.search.rounds import halving, spent

BY_LOSS = PREREGISTERED[0]
JUDGED_BY = preregistered("budget")
"""The objective of version 0.1: what its search costs is every search's budget."""


@dataclass(frozen=True)
class Method:
    """A search on a table.

    searcher: who proposes; without one, rows come in a random order that a seed gives to all methods.
    early: what is minimised. The rounds are the recipe's, or those of eta and brackets: halvings by such
    a factor, each beginning at an epoch, several for Hyperband. stop: instead, all train so many epochs
    and the best of them to the end. whole: all candidates train to the end, whatever that costs.
    library: `multi_fidelity` says who trains how far.
    """

    name: str
    searcher: str | None
    early: Early = BY_LOSS
    hedge: bool = False
    brackets: tuple[int, ...] = ()
    eta: int | None = None
    stop: int | None = None
    whole: bool = False
    library: bool = False


def default_early() -> Early:
    """The objective that a recipe minimises which names none, among those compared."""
    name = Search().objective.name
    return next(
        item
        for item in PREREGISTERED
        if (item.objective, item.options, item.shown) == (name, (), "full")
    )


def default_method(searcher: str | None = None) -> Method:
    """The search of a recipe that says nothing."""
    return by(default_early(), searcher or Search().searcher.name, hedge=Rounds().hedge)


def by(early: Early, searcher: str | None, *, hedge: bool = False) -> Method:
    """A search with the recipe's rounds; one that keeps by loss has nothing to hedge."""
    hedge = hedge and early != BY_LOSS
    name = early.name + ("+hedge" if hedge else "")
    return Method(f"{name}, {searcher or 'random pool'}", searcher, early, hedge)


def methods(
    study: Study,
    searchers: Sequence[str] | None = None,
    *,
    objectives: Sequence[Early] = PREREGISTERED,
    every: bool = False,
) -> list[Method]:
    """Every objective, hedged and not, on random pools, and the baselines.

    Loss, loss with distance, and the default with each searcher.

    `searchers` are all that are registered unless given. With `every`, each objective with each of them.
    """
    names = registry().names("searcher") if searchers is None else list(searchers)
    proposers: list[str | None] = [None, *names] if every else [None]
    pair = preregistered("pair")
    found = [
        *(by(e, s, hedge=h) for e in objectives for h in (False, True) for s in proposers),
        *(by(BY_LOSS, s) for s in names),
        *(by(pair, s, hedge=True) for s in names),
        *(default_method(s) for s in names),
    ]
    return [*dict.fromkeys(found), *baselines(study)]


def baselines(study: Study) -> list[Method]:
    """What every search must beat, all by validation loss: no dense reference, no spectra."""
    first, end = study.recipe.rounds.first, study.epochs
    found = [Method(f"stop after {i}", None, stop=i) for i in range(1, end)]
    for eta in (2, 3):
        found.append(Method(f"successive halving, η = {eta}", None, brackets=(first,), eta=eta))
        starts = []
        start = first
        while start <= end:
            starts.append(start)
            start *= eta
        found.append(Method(f"Hyperband, η = {eta}", None, brackets=tuple(starts), eta=eta))
    found.append(Method("full trainings at random", None, stop=end))
    if "tpe" in registry().names("searcher"):
        found.append(Method("full trainings, tpe", "tpe", stop=end))
    if multi_fidelity.installed():
        found.append(Method("SMAC3, multi-fidelity", None, library=True))
    return [*found, Method("full search", None, whole=True)]


Plan = tuple[tuple[tuple[int, int], ...], int]
"""Rounds as (candidates, epoch each reaches), and finalists."""


def plan(study: Study, method: Method, count: int) -> Plan:
    """Rounds (candidates, epoch each reaches) and finalists of a method with so many candidates."""
    steps, end = study.recipe.rounds, study.epochs
    if method.stop is not None:
        return ((count, method.stop),), 1
    if method.eta is None:
        finalists = min(study.recipe.final.finalists, count)
        return halving(count, steps.first, steps.epochs, steps.keep, finalists), finalists
    # Successive halving (Jamieson & Talwalkar 2016): n/η of n go on to η times as many epochs.
    rounds = [(count, method.brackets[0])]
    while rounds[-1][1] * method.eta < end and rounds[-1][0] > 1:
        rounds.append((max(1, rounds[-1][0] // method.eta), rounds[-1][1] * method.eta))
    return tuple(rounds), max(1, rounds[-1][0] // method.eta)


@functools.cache
def largest(study: Study, method: Method, limit: float) -> Plan:
    """Rounds of the largest pool whose cost is at most `limit`; none where not even one fits."""
    found: Plan = ((), 0)
    for count in range(1, len(study.rows) + 1):
        rounds, finalists = plan(study, method, count)
        if cost(study, method.early, rounds, finalists) > limit or rounds[-1][1] > study.epochs:
            break
        found = rounds, finalists
    return found


def charges(study: Study, early: Early) -> tuple[float, float]:
    """What an objective is charged: epochs before any candidate trains, and for an epoch of one.

    Whoever uses the dense reference has trained it, and whoever compares spectra measures them.
    """
    needs = early.needs
    return float(study.epochs if needs else 0), 1 + (study.measuring if "distances" in needs else 0)


def cost(study: Study, early: Early, rounds: tuple[tuple[int, int], ...], finalists: int) -> float:
    """Epochs that rounds and finalists are charged, with what the objective uses."""
    before, each = charges(study, early)
    return before + each * spent(rounds, finalists, study.epochs)


def budget(study: Study, candidates: int) -> float:
    """Epochs B that every search may cost: what version 0.1's does with so many candidates."""
    rounds, finalists = plan(study, by(JUDGED_BY, None), candidates)
    return cost(study, JUDGED_BY, rounds, finalists)
