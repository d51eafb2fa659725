"""Replay searches on a table: what each would have chosen, for how many epochs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hyperprune.bench.signals import LOSS, Study, signal_name
from hyperprune.bench.statistics import ranks
from hyperprune.bench.table import STATES
from hyperprune.plugins import registry
from hyperprune.recipe.records import Search, Spectrum
from hyperprune.search.objective import needs_of
from hyperprune.search.observation import Observation
from hyperprune.search.rounds import halving, spent
from hyperprune.search.space import Configuration, key_of


@dataclass(frozen=True)
class Method:
    """A search: who proposes, what is minimised early, and how the pool is halved.

    Several signals count by the sum of their ranks among the candidates compared. Without a
    searcher, configurations are drawn at random and trained to the end at once. Several values of
    `first` are Hyperband's brackets, which share the budget. `whole`: all candidates train fully,
    whatever that costs.
    """

    name: str
    searcher: str | None
    signals: tuple[str, ...]
    first: tuple[int, ...] = (3,)
    whole: bool = False


@dataclass(frozen=True)
class Trace:
    """What a search would answer after so many epochs: (epochs, row it would choose) in order."""

    steps: tuple[tuple[int, int], ...]

    @property
    def chosen(self) -> int:
        """Row it chose in the end."""
        return self.steps[-1][1]

    @property
    def epochs(self) -> int:
        """Epochs it spent."""
        return self.steps[-1][0]


def default_signals() -> tuple[str, ...]:
    """The signals that a recipe minimises early where it names none."""
    spectrum, search = Spectrum(), Search()
    distance = signal_name(spectrum.distance.name, spectrum.state, spectrum.reference)
    needs = needs_of(registry().get("objective", search.objective.name).target)
    return (LOSS, distance) if "distances" in needs else (LOSS,)


def methods(
    study: Study, searchers: Sequence[str] | None = None, *, every: bool = True
) -> list[Method]:
    """Searchers (every registered one) on each early objective, and baselines.

    The objectives: loss, the recipe's distance of either state, and both by their ranks; unless
    `every`, loss and the default search's alone. Loss with random proposals is successive halving.
    """
    settings = study.recipe.spectrum
    distances = [signal_name(settings.distance.name, s, settings.reference) for s in STATES]
    early: list[tuple[str, ...]] = [(LOSS,), *((distance,) for distance in distances)]
    early += [(LOSS, distance) for distance in distances]
    found = [
        Method(f"{' and '.join(signals)}, {name}", name, signals)
        for signals in early
        if every or signals in ((LOSS,), default_signals())
        for name in (registry().names("searcher") if searchers is None else searchers)
    ]
    first = study.recipe.rounds.first
    starts = tuple(epochs for epochs in (first, 2 * first, 3 * first) if epochs <= study.epochs)
    found.append(Method("Hyperband on loss", None, (LOSS,), starts))
    found.append(Method("full trainings at random", None, (LOSS,), ()))
    found.append(Method("full search", None, (LOSS,), (), whole=True))
    return found


def scores(study: Study, method: Method, rows: Sequence[int], epoch: int) -> list[float]:
    """What a method minimises, for each of the rows that it compares after an epoch."""
    values = [study.signals[name][list(rows), epoch - 1] for name in method.signals]
    if len(values) == 1:
        return [float(value) for value in values[0]]
    return [float(value) for value in np.sum([ranks(value) for value in values], axis=0)]


def budget(study: Study, candidates: int) -> int:
    """Epochs of a search over so many candidates with the recipe's rounds."""
    steps, finalists = study.recipe.rounds, study.recipe.final.finalists
    rounds = halving(candidates, steps.first, steps.epochs, steps.keep, finalists)
    return spent(rounds, finalists, study.epochs)


def replay(study: Study, method: Method, candidates: int, seed: int) -> Trace:
    """Run one search on the table, with the epochs that `candidates` with rounds take."""
    if method.searcher is not None:
        order = list(_propose(study, method, candidates, seed))
        return Trace(tuple(_halve(study, method, order, study.recipe.rounds.first, 0)))
    rng = random.Random(f"{method.name}/{seed}")
    order = rng.sample(range(len(study.rows)), len(study.rows))
    limit = candidates * study.epochs if method.whole else budget(study, candidates)
    if not method.first:
        return Trace(tuple(_train_fully(study, order[: limit // study.epochs])))
    return Trace(tuple(_brackets(study, method, order, limit)))


def narrow(study: Study, signals: tuple[str, ...], candidates: int, seed: int) -> Trace:
    """Halve a random pool by signals alone: what they are worth whoever proposes."""
    pool = random.Random(f"pool/{seed}").sample(range(len(study.rows)), candidates)
    method = Method("random pool", None, signals)
    return Trace(tuple(_halve(study, method, pool, study.recipe.rounds.first, 0)))


def _propose(study: Study, method: Method, candidates: int, seed: int) -> Iterator[int]:
    """Ask the searcher; what the table does not hold stands for its nearest row untried."""
    assert method.searcher is not None
    suggest = registry().bind("searcher", method.searcher)
    first = study.recipe.rounds.first
    tried: list[int] = []
    left = list(range(len(study.rows)))
    for _ in range(candidates):
        values = scores(study, method, tried, first) if tried else []
        history = tuple(
            Observation(study.rows[row].configuration, value)
            for row, value in zip(tried, values, strict=True)
        )
        wanted = suggest(study.space, history, (), seed)
        row = min(left, key=lambda index: _distance(wanted, study.rows[index].configuration, seed))
        left.remove(row)
        tried.append(row)
        yield row


def _distance(a: Configuration, b: Configuration, seed: int) -> tuple[int, float]:
    """Settings that differ; ties in an order of the seed's own."""
    differing = sum(a.get(key) != b.get(key) for key in {*a, *b})
    return differing, random.Random(f"{seed}/{key_of(b)}").random()


def _halve(
    study: Study, method: Method, pool: Sequence[int], first: int, before: int
) -> Iterator[tuple[int, int]]:
    """Rounds over a pool in the order of its proposal; yields (epochs so far, choice so far)."""
    steps, finalists = study.recipe.rounds, study.recipe.final.finalists
    total, alive, reached = before, list(pool), first

    def order(rows: Sequence[int], epoch: int) -> list[int]:
        values = scores(study, method, rows, epoch)
        return [row for _, row in sorted(zip(values, rows, strict=True))]

    for count in range(1, len(pool) + 1):
        total += first
        yield total, order(pool[:count], first)[0]
    rounds = halving(len(pool), first, steps.epochs, steps.keep, finalists)
    for count, epoch in [*rounds[1:], (min(finalists, len(pool)), study.epochs)]:
        alive = order(alive, reached)[:count]
        total += count * (epoch - reached)
        reached = epoch
        if reached < study.epochs:
            yield total, order(alive, reached)[0]
    yield total, min(alive, key=lambda row: (study.final[row], row))


def _train_fully(study: Study, order: Sequence[int]) -> Iterator[tuple[int, int]]:
    for count in range(1, len(order) + 1):
        yield count * study.epochs, min(order[:count], key=lambda row: study.final[row])


def _brackets(
    study: Study, method: Method, order: Sequence[int], limit: int
) -> Iterator[tuple[int, int]]:
    """Hyperband (Li et al. 2018): halvings that start at several epochs, equal shares of what is left."""
    start = before = 0
    chosen: int | None = None
    for number, first in enumerate(method.first):
        share = (limit - before) // (len(method.first) - number)
        pool = order[start : start + _largest_pool(study, first, share)]
        steps = list(_halve(study, method, pool, first, before)) if pool else []
        start += len(pool)
        for total, row in steps:
            before = total
            yield total, row if chosen is None else chosen
        finished = [row for row in (chosen, *(row for _, row in steps[-1:])) if row is not None]
        chosen = min(finished, key=lambda row: study.final[row], default=None)
    if chosen is None:  # no bracket fits into its share
        yield from _train_fully(study, order[: max(1, limit // study.epochs)])
    else:
        yield before, chosen


def _largest_pool(study: Study, first: int, share: int) -> int:
    """Most candidates whose halving from `first` epochs costs no more than a share; maybe none."""
    steps, finalists = study.recipe.rounds, study.recipe.final.finalists
    count = 0
    while count < len(study.rows):
        ends = min(finalists, count + 1)
        rounds = halving(count + 1, first, steps.epochs, steps.keep, ends)
        if spent(rounds, ends, study.epochs) > share or rounds[-1][1] > study.epochs:
            break
        count += 1
    return count


def regret_at(study: Study, trace: Trace, epochs: int) -> float:
    """Perplexity above the table's best, had the search ended after so many epochs; NaN before."""
    known = [row for spent_, row in trace.steps if spent_ <= epochs]
    if not known:
        return math.nan
    return float(study.perplexity[known[-1]] - study.perplexity.min())
