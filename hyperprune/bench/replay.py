"""Replay searches on a table: what each would have chosen, for how many epochs.

A table is a sample: what a searcher proposes and the table does not hold stands for its nearest row not
tried yet, the same for all searchers.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from hyperprune.bench import multi_fidelity
from hyperprune.bench.early import preregistered
from hyperprune.bench.methods import Method, budget, by, charges, largest, plan
from hyperprune.bench.signals import BOTH, LOSS, Study
from hyperprune.plugins import registry
from hyperprune.search.observation import Observation
from hyperprune.search.ranking import survivors
from hyperprune.search.space import Configuration, Range, Space, key_of

FAILED = 100.0
"""Loss of what diverged, in nats, where nothing else is known yet."""

Asked: TypeAlias = dict[tuple[Any, ...], Configuration]
"""What searchers of one seed answered to what they were told."""


@dataclass(frozen=True)
class Trace:
    """What a search would answer after so many epochs: (epochs, row it would choose) in order.

    met: epochs charged until a network trained to the end meets the dense target; None where none does.
    finished: rows trained to the end, in order of proposal. rescued: rows that `final.rescue` would train
    to the end after that; `rescue` is what it would be charged for them.
    """

    steps: tuple[tuple[float, int], ...]
    met: float | None = None
    finished: tuple[int, ...] = ()
    rescued: tuple[int, ...] = ()
    rescue: float = 0.0

    @property
    def chosen(self) -> int:
        """Row it chose in the end."""
        return self.steps[-1][1]

    @property
    def epochs(self) -> float:
        """Epochs it was charged."""
        return self.steps[-1][0]


class Replayer:
    """One table, one method, one seed: who is tried, who is kept, and what it has cost.

    asked: what searchers answered already to this seed, for methods that ask the same.
    """

    def __init__(self, study: Study, method: Method, seed: int, asked: Asked | None = None) -> None:
        self.study, self.method, self.seed = study, method, seed
        self.asked: Asked = {} if asked is None else asked
        self.spent, self.each = charges(study, method.early)
        self.trained: dict[int, int] = {}
        self.diverged: set[int] = set()
        self.met: float | None = None

    def train(self, row: int, epoch: int) -> None:
        """Train a row until an epoch, or until it diverges, and be charged for it."""
        reached = self.study.trained(row, epoch)
        self.spent += (reached - self.trained.get(row, 0)) * self.each
        self.trained[row] = reached
        if reached < epoch:
            self.diverged.add(row)
        if self.met is None and self.study.final[row] <= self.study.target:
            self.met = self.spent if reached == self.study.epochs else None

    def order(self, rows: Sequence[int], epoch: int) -> list[int]:
        """Rows by what the method minimises, best first; equal ones as they came."""
        values = self.method.early.scores(self.study, rows, epoch)
        return [row for _, row in sorted(zip(values, rows, strict=True), key=lambda item: item[0])]

    def keep(self, rows: Sequence[int], epoch: int, count: int) -> list[int]:
        """The rows that a round keeps, by the rule that runs follow."""
        values = self.method.early.scores(self.study, rows, epoch)
        named = {f"{place:04d}": row for place, row in enumerate(rows)}  # ties by order of proposal
        losses = self.study.signals[LOSS]
        kept = survivors(
            dict(zip(named, values, strict=True)),
            {name: _high(float(losses[row, epoch - 1])) for name, row in named.items()},
            count,
            hedge=self.method.hedge,
        )
        return [named[name] for name in kept]

    def propose(self, count: int, epoch: int) -> Iterator[int]:
        """Ask the searcher; what the table does not hold stands for its nearest row untried."""
        study, method = self.study, self.method
        if method.searcher is None:
            yield from random_order(study, self.seed)[:count]
            return
        suggest = registry().bind("searcher", method.searcher)
        tried: list[int] = []
        left = list(range(len(study.rows)))
        for _ in range(count):
            values = method.early.scores(study, tried, epoch) if tried else []
            question = (method.searcher, *zip(tried, values, strict=True))
            if question not in self.asked:
                history = tuple(
                    Observation(study.rows[row].configuration, value, None, None)
                    if math.isfinite(value)
                    else Observation(study.rows[row].configuration, None, None, "diverged")
                    for row, value in zip(tried, values, strict=True)
                )
                self.asked[question] = suggest(study.space, history, (), self.seed)
            wanted = self.asked[question]
            row = min(left, key=lambda k: self.apart(wanted, study.rows[k].configuration))
            left.remove(row)
            tried.append(row)
            yield row

    def apart(self, a: Configuration, b: Configuration) -> tuple[float, float]:
        """How far b lies from a; ties in an order of the seed's own."""
        tie = random.Random(f"{self.seed}/{key_of(b)}").random()
        return _apart(self.study.space, a, b), tie

    def halve(
        self, rounds: Sequence[tuple[int, int]], finalists: int, pool: Iterator[int]
    ) -> Iterator[tuple[bool, int]]:
        """Rounds over a pool as it is proposed: whom it would choose, and whether that is trained fully."""
        study = self.study
        first = rounds[0][1]
        alive: list[int] = []
        for row in pool:
            self.train(row, first)
            alive.append(row)
            yield False, self.order(alive, first)[0]
        reached = first
        for count, epoch in [*rounds[1:], (min(finalists, len(alive)), study.epochs)]:
            alive = self.keep(alive, reached, count)
            for row in alive:
                self.train(row, epoch)
            reached = epoch
            if reached < study.epochs:
                yield False, self.order(alive, reached)[0]
        yield True, min(alive, key=lambda row: study.final[row])

    def finished(self) -> list[int]:
        """Rows trained to the end, in order of proposal."""
        return [row for row, reached in self.trained.items() if reached == self.study.epochs]

    def rescue(self) -> list[int]:
        """Train on whom rounds let go with a lower loss than any that finished, as `final.rescue` does."""
        saved: list[int] = []
        while True:
            lowest = {row: self.lowest(row) for row in self.trained}
            bar = min((lowest[row] for row in self.finished()), default=math.inf)
            missed = [row for row, loss in lowest.items() if loss < bar]
            if not missed:
                return saved
            saved.append(min(missed, key=lowest.__getitem__))
            self.train(saved[-1], self.study.epochs)

    def lowest(self, row: int) -> float:
        """Lowest loss of a row until now; infinite where it has diverged."""
        known = self.study.signals[LOSS][row, : self.trained[row]]
        return math.inf if row in self.diverged else float(known.min())


def replay(
    study: Study, method: Method, candidates: int, seed: int, asked: Asked | None = None
) -> Trace:
    """Run one search on the table, with the epochs that `candidates` of version 0.1 cost."""
    return replay_within(study, method, budget(study, candidates), candidates, seed, asked)


def replay_within(
    study: Study,
    method: Method,
    limit: float,
    candidates: int,
    seed: int,
    asked: Asked | None = None,
) -> Trace:
    """Run one search on the table within a budget of epochs."""
    one = Replayer(study, method, seed, asked)
    steps: list[tuple[float, int]] = []
    chosen: int | None = None
    for whole, row in _course(one, limit, candidates):
        steps.append((one.spent, row if chosen is None or whole else chosen))
        if whole:
            chosen = row
    if not one.finished():  # every finalist diverged: it goes on with whom it let go, as a run does
        one.rescue()
        if one.finished():
            steps.append((one.spent, min(one.finished(), key=lambda k: study.final[k])))
    met, spent, finished = one.met, one.spent, tuple(one.finished())
    rescued = tuple(one.rescue())
    return Trace(tuple(steps), met, finished, rescued, one.spent - spent)


def _course(one: Replayer, limit: float, candidates: int) -> Iterator[tuple[bool, int]]:
    """Whom a method would choose, step by step, and whether that is a network trained to the end."""
    study, method, end = one.study, one.method, one.study.epochs
    if method.whole or method.stop == end:
        count = candidates if method.whole else max(1, int(limit // end))
        yield from _fully(one, one.propose(min(count, len(study.rows)), end))
    elif method.library:
        yield from _asked(one, limit)
    elif method.brackets:
        yield from _brackets(one, limit)
    else:
        rounds, finalists = largest(study, method, limit)
        yield from one.halve(rounds, finalists, one.propose(*rounds[0]))


def _fully(one: Replayer, pool: Iterator[int]) -> Iterator[tuple[bool, int]]:
    best: int | None = None
    for row in pool:
        one.train(row, one.study.epochs)
        if best is None or one.study.final[row] < one.study.final[best]:
            best = row
        yield True, best


def _brackets(one: Replayer, limit: float) -> Iterator[tuple[bool, int]]:
    """Hyperband (Li et al. 2018): halvings that start at several epochs, equal shares of what is left."""
    study, method = one.study, one.method
    order = random_order(study, one.seed)
    chosen: int | None = None
    for number, first in enumerate(method.brackets):
        share = (limit - one.spent) / (len(method.brackets) - number)
        rounds, finalists = largest(study, replace(method, brackets=(first,)), share)
        if not rounds:
            continue
        pool, order = order[: rounds[0][0]], order[rounds[0][0] :]
        if not pool:
            break
        for whole, row in one.halve(rounds, finalists, iter(pool)):
            if whole:
                chosen = row if chosen is None else min(chosen, row, key=lambda k: study.final[k])
                yield True, chosen
            elif chosen is None:
                yield False, row
    if chosen is None:  # no bracket fits into its share
        yield from _fully(one, iter(order[: max(1, int(limit // study.epochs))]))


def _asked(one: Replayer, limit: float) -> Iterator[tuple[bool, int]]:
    """A library that says what is trained next and how far, as long as the budget lasts.

    A configuration that it comes back to goes on where it stopped. Enough is left to train one to the
    end where none is yet. One that diverged is told to be as bad as the worst.
    """
    study = one.study
    losses, end = study.signals[LOSS], study.epochs
    rows: dict[str, int] = {}
    worst = -math.inf
    chosen: int | None = None
    for wanted, epoch, tell in multi_fidelity.asking(study, one.seed):
        left = [row for row in range(len(study.rows)) if row not in rows.values()]
        row = rows.get(key_of(wanted))
        if row is None:
            others = left or list(rows.values())
            row = min(others, key=lambda k: one.apart(wanted, study.rows[k].configuration))
            rows[key_of(wanted)] = row
        further = max(0, epoch - one.trained.get(row, 0))
        if one.spent + further + (0 if chosen is not None or epoch == end else end) > limit:
            break
        one.train(row, max(epoch, one.trained.get(row, 0)))
        loss = math.nan if row in one.diverged else float(losses[row, epoch - 1])
        worst = max(worst, loss) if math.isfinite(loss) else worst
        tell(loss if math.isfinite(loss) else worst if math.isfinite(worst) else FAILED)
        if row in one.finished():
            chosen = min(one.finished(), key=lambda k: study.final[k])
            yield True, chosen
    if chosen is None:
        known = [row for row in one.trained if row not in one.diverged]
        row = min(
            known or random_order(study, one.seed)[:1],
            key=lambda k: losses[k, one.trained.get(k, 1) - 1],
        )
        one.train(row, end)
        yield True, row


def random_order(study: Study, seed: int) -> list[int]:
    """All rows in an order of the seed's own, the same for every method."""
    return random.Random(f"pool/{seed}").sample(range(len(study.rows)), len(study.rows))


def narrow(study: Study, signal: str, candidates: int, seed: int) -> Trace:
    """Halve a random pool by a signal alone: what it is worth whoever proposes."""
    if signal == BOTH:  # ranks among those compared, not among all
        one = Replayer(study, by(preregistered("pair"), None), seed)
    else:
        one = _BySignal(study, signal, seed)
    rounds, finalists = plan(study, one.method, candidates)
    pool = iter(random_order(study, seed)[:candidates])
    steps = [(one.spent, row) for _, row in one.halve(rounds, finalists, pool)]
    return Trace(tuple(steps), one.met)


class _BySignal(Replayer):
    """Keeps rows by any signal of a study, also one that no objective offers."""

    def __init__(self, study: Study, signal: str, seed: int) -> None:
        super().__init__(study, Method(signal, None), seed)
        self.values = _by_epoch(study, signal)

    def order(self, rows: Sequence[int], epoch: int) -> list[int]:
        return sorted(rows, key=self.values[epoch - 1].__getitem__)

    def keep(self, rows: Sequence[int], epoch: int, count: int) -> list[int]:
        return self.order(rows, epoch)[:count]


@functools.cache
def _by_epoch(study: Study, signal: str) -> list[list[float]]:
    """A signal as lists, for all pools alike: (E, n), infinite where it is not known."""
    known = study.signals[signal]
    found: list[list[float]] = np.where(np.isnan(known), np.inf, known).T.tolist()
    return found


def _high(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _apart(space: Space, a: Configuration, b: Configuration) -> float:
    """Settings that differ; a number on a range counts by the share of it that lies between."""
    total = float(len(a.keys() ^ b.keys()))
    for dimension in space.dimensions:
        if dimension.path in a and dimension.path in b:
            own, other, domain = a[dimension.path], b[dimension.path], dimension.domain
            if isinstance(domain, Range):
                total += abs(domain.share(own) - domain.share(other))
            else:
                total += own != other
    return total


def regret_at(study: Study, trace: Trace, epochs: float) -> float:
    """Perplexity above the table's best, had the search ended after so many epochs; NaN before."""
    known = [row for spent_, row in trace.steps if spent_ <= epochs]
    if not known:
        return math.nan
    return float(study.perplexity[known[-1]] - study.perplexity.min())
