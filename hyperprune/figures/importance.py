"""How much each setting explains: total Sobol indices of a fitted model, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
FEWEST = 6
"""Candidates below which a model says nothing."""
RESAMPLINGS, TREES, DRAWS = 12, 24, 256


@dataclass(frozen=True)
class Importance:
    """Share of the variance that a setting explains: median and 10 % and 90 % over resamplings."""

    low: float
    middle: float
    high: float


def importances(
    columns: Sequence[Sequence[Any]], losses: Sequence[float], seed: int
) -> list[Importance]:
    """Total-effect indices of settings for a loss; none where there are too few candidates.

    columns: a setting each, its value for every candidate. losses: (N,) nats per token. Forests are
    fitted to bootstrap samples; S_i = E[(f(a) − f(a with b_i))²] / 2 Var f, a and b drawn evenly
    over each setting (Jansen 1999; Saltelli et al. 2010, table 2 f).
    """
    from sklearn.ensemble import ExtraTreesRegressor

    y = np.asarray(losses, dtype=np.float64)
    if len(y) < FEWEST or not columns or not np.isfinite(y).all() or np.ptp(y) == 0:
        return []
    coded = [_coded(column) for column in columns]
    x = np.column_stack([values for values, _ in coded])  # (N, settings)
    draw = np.random.default_rng(seed)
    found = []
    for number in range(RESAMPLINGS):
        rows = draw.integers(0, len(y), len(y))
        if np.ptp(y[rows]) == 0:
            continue
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=number)
        forest.fit(x[rows], y[rows])
        a, b = (np.column_stack([_drawn(draw, c) for c in coded]) for _ in range(2))
        found.append(_total_effects(forest, a, b))
    if not found:
        return []
    low, middle, high = np.quantile(np.array(found), (0.1, 0.5, 0.9), axis=0)
    return [Importance(*map(float, each)) for each in zip(low, middle, high, strict=True)]


def _total_effects(forest: Any, a: Array, b: Array) -> Array:
    mixed = np.repeat(a[None], a.shape[1], axis=0)  # (settings, draws, settings)
    for i in range(a.shape[1]):
        mixed[i, :, i] = b[:, i]
    every = forest.predict(np.concatenate([a, mixed.reshape(-1, a.shape[1])]))
    whole, changed = every[: len(a)], every[len(a) :].reshape(a.shape[1], len(a))
    spread = float(whole.var())
    effects: Array = ((whole - changed) ** 2).mean(1) / (2 * spread or 1.0)
    return effects


def _coded(column: Sequence[Any]) -> tuple[Array, bool]:
    """A setting as numbers, and whether they are numbers by nature."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in column):
        return np.asarray(column, dtype=np.float64), True
    keys = {key: i for i, key in enumerate(sorted({str(value) for value in column}))}
    return np.asarray([keys[str(value)] for value in column], dtype=np.float64), False


def _drawn(draw: np.random.Generator, coded: tuple[Array, bool]) -> Array:
    values, numeric = coded
    if numeric:
        return draw.uniform(values.min(), values.max(), DRAWS)
    return draw.choice(np.unique(values), DRAWS)
