"""The hierarchical bootstrap: tables drawn with replacement, and in each what it consists of.

Section 5 of benchmarks/tables/PREREGISTRATION.md. A statistic is M numbers of one table; it is drawn anew
from the table's seeds or configurations, the same draw for all M, so that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from hyperprune.bench.statistics import Array, shrunk, spearman

RESAMPLES = 2000

Statistic: TypeAlias = Callable[[Generator, int], Array]
"""Draws a table's M numbers anew so many times: (M, count)."""


def hierarchical(tables: Sequence[Statistic], *, resamples: int = RESAMPLES) -> Array:
    """Means over tables in resamples of tables, then of what is within each: (M, resamples)."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(tables), (resamples, len(tables)))
    found: list[Array] = []
    for number, statistic in enumerate(tables):
        times = (drawn == number).sum(1)
        values = statistic(rng, int(times.sum()))
        which = np.repeat(np.arange(resamples), times)
        found.append(np.stack([np.bincount(which, row, resamples) for row in values]))
    mean: Array = np.sum(found, axis=0) / len(tables)
    return mean


def of_seeds(values: Array) -> Statistic:
    """Means of values (M, S) over seeds drawn with replacement."""
    seeds = values.shape[1]

    def drawn(rng: Generator, count: int) -> Array:
        shares = rng.multinomial(seeds, np.full(seeds, 1 / seeds), count) / seeds  # (count, S)
        found: Array = values @ shares.T
        return found

    return drawn


def of_configurations(order: Array, final: Array) -> Statistic:
    """Spearman's correlations of orders (M, n) with final losses (n,), configurations drawn anew.

    An order that tells nothing apart has none, and counts as 0.
    """
    rows = len(final)

    def drawn(rng: Generator, count: int) -> Array:
        at = rng.integers(0, rows, (count, rows))
        end = final[at]
        return np.stack([np.nan_to_num(spearman(own[at], end)) for own in order])

    return drawn


def of_noise(finished: Sequence[Sequence[Sequence[int]]], final: Array, noise: float) -> Statistic:
    """Mean regrets in units of the noise where final losses (n,) are drawn anew with it.

    finished: of M searches from S seeds, the rows that trained to the end. The losses are shrunk to the
    spread that remains without the noise; each search then chooses the best of what it finished.
    """
    true = shrunk(final, noise)
    masks = np.full((len(finished), len(finished[0]), len(final)), np.inf)  # (M, S, n)
    for m, by_seed in enumerate(finished):
        for s, rows in enumerate(by_seed):
            masks[m, s, list(rows)] = 0.0
    seeds = masks.shape[1]

    def drawn(rng: Generator, count: int) -> Array:
        found = np.empty((len(masks), count))
        for k in range(count):
            loss = true + rng.normal(0, noise, len(true))
            at = rng.integers(0, seeds, seeds)
            found[:, k] = ((masks + loss).min(-1) - loss.min())[:, at].mean(-1) / noise
        return found

    return drawn


def interval(draws: Array) -> list[float]:
    """The 95 % interval of draws: [low, high]."""
    return [float(q) for q in np.quantile(draws, [0.025, 0.975])]
