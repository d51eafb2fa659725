"""Rank correlations and bootstrap intervals, in NumPy and with explicit seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

Array: TypeAlias = NDArray[np.float64]
RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap percentile interval."""

    value: float
    low: float
    high: float

    def plain(self) -> list[float]:
        """[value, low, high], rounded to what is reported."""
        return [round(x, 4) + 0.0 for x in (self.value, self.low, self.high)]


def ranks(values: Array) -> Array:
    """Ranks from 1 along the last axis; equal values share their mean rank."""
    result: Array = rankdata(values, axis=-1)
    return result


def spearman(a: Array, b: Array) -> Any:
    """Spearman's rank correlation along the last axis (…, n); NaN where either is constant."""
    x, y = (ranks(side) - (side.shape[-1] + 1) / 2 for side in (a, b))
    scale = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return (x * y).sum(-1) / np.where(scale > 0, scale, np.nan)


class Correlated:
    """Samples (n,) held against one and the same, with resamples of the pairs (Efron 1979).

    What `bootstrap(spearman, sample, end, seed=seed)` gives, to the bit, as sums of halves are exact: but
    nothing drawn is sorted, and the end's ranks are made once for all samples. With a NaN, nothing is known.
    """

    def __init__(self, end: Array, *, seed: int, resamples: int = RESAMPLES) -> None:
        count = len(end)
        chosen = _resampled(count, seed, resamples)
        places = (chosen + count * np.arange(resamples)[:, None]).ravel()
        drawn = np.bincount(places, minlength=resamples * count).reshape(resamples, count)
        # Row 0 is the sample itself, each row after it how often a resample holds each pair.
        self.times = np.concatenate([np.ones((1, count)), drawn])  # (R + 1, n)
        self.end = _drawn_ranks(end, self.times)
        self.square = self.times * self.end**2

    def spearman(self, sample: Array) -> Interval:
        """Spearman's rank correlation with its percentile interval."""
        if np.isnan(sample).any():
            return Interval(math.nan, math.nan, math.nan)
        own = _drawn_ranks(sample, self.times)
        weighed = self.times * own
        scale = np.sqrt((weighed * own).sum(-1) * self.square.sum(-1))
        found = (weighed * self.end).sum(-1) / np.where(scale > 0, scale, np.nan)
        return _interval(found[0], found[1:])


def _drawn_ranks(values: Array, times: Array) -> Array:
    """Ranks less their mean of values (n,) in draws that hold each so many times (R, n): (R, n)."""
    order = values.argsort(kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    equal = np.add.reduceat(times[:, order], first, axis=1)  # (R, values that differ)
    middle = equal.cumsum(1) - equal / 2 - times.shape[1] / 2
    found: Array = np.empty_like(times)
    found[:, order] = np.repeat(middle, np.diff([*first, len(values)]), axis=1)
    return found


def kendall(a: Array, b: Array) -> float:
    """Kendall's τ_b of two samples (n,), which discounts ties; NaN where either is constant."""
    return float(kendalltau(a, b).statistic)


def bootstrap(
    statistic: Callable[..., Any], *samples: Array, seed: int, resamples: int = RESAMPLES
) -> Interval:
    """Statistic of paired samples with its percentile interval (Efron 1979), pairs resampled.

    The statistic works along the last axis, so that all resamples are one call.
    """
    chosen = _resampled(len(samples[0]), seed, resamples)
    draws = statistic(*(sample[chosen] for sample in samples))
    return _interval(statistic(*samples), draws)


def _resampled(count: int, seed: int, resamples: int) -> NDArray[np.int64]:
    """Positions of so many pairs, drawn with replacement: (R, n)."""
    return np.random.default_rng(seed).integers(0, count, (resamples, count))


def _interval(value: Any, draws: Array) -> Interval:
    """An estimate with the percentiles of its draws."""
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def median(values: Array) -> Any:
    """Median along the last axis."""
    return np.median(values, axis=-1)


def mean(values: Array) -> Any:
    """Mean along the last axis."""
    return np.mean(values, axis=-1)


def pooled_deviation(groups: Sequence[Sequence[float]]) -> float:
    """Standard deviation within groups, pooled over them; NaN where no group has two values."""
    squares = sum(((np.array(g) - np.mean(g)) ** 2).sum() for g in groups if len(g) > 1)
    freedom = sum(len(g) - 1 for g in groups if len(g) > 1)
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def attainable(values: Array, noise: float, *, seed: int, draws: int = 400) -> float:
    """Rank correlation that a noise-free oracle has with values of this spread and noise.

    The values are shrunk to the spread that remains without the noise, and drawn anew with it.
    """
    rng: Any = np.random.default_rng(seed)
    true = shrunk(values, noise)
    if not np.ptp(true):
        return 0.0
    noisy = true + rng.normal(0, noise, (draws, len(true)))
    return float(spearman(np.broadcast_to(true, noisy.shape), noisy).mean())


def shrunk(values: Array, noise: float) -> Array:
    """Values drawn towards their mean until their spread is what remains without the noise."""
    spread = values.var(ddof=1)
    kept = max(0.0, spread - noise**2) / spread if spread else 0.0
    found: Array = values.mean() + np.sqrt(kept) * (values - values.mean())
    return found
