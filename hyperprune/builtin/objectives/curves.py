"""Objectives that look at curves of loss alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from hyperprune.hookspecs import needs
from hyperprune.search.objective import Comparison

POWERS = tuple(k / 4 for k in range(1, 9))
"""Exponents c tried for curves a + b t^(−c)."""


def loss(compared: Comparison) -> list[float]:
    """Validation loss of the last epoch."""
    return [item.valid_losses[-1] for item in compared.candidates]


def training_speed(
    compared: Comparison,
    *,
    last: Annotated[int, Field(ge=0)] = 0,
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0,
) -> list[float]:
    """Mean of the training losses, of the `last` epochs or (0) of all: who learns fast.

    An epoch weighs `decay` times what the next one does. The sums TSE and TSE-EMA of Ru et al.
    (NeurIPS 2021, arXiv 2006.04492), over their weights.
    """
    found = []
    for item in compared.candidates:
        curve = item.train_losses[-last:]
        weights = [decay**age for age in reversed(range(len(curve)))]
        found.append(sum(w * v for w, v in zip(weights, curve, strict=True)) / sum(weights))
    return found


def extrapolated(compared: Comparison) -> list[float]:
    """Validation loss at the full budget by a power law a + b t^(−c), b ≥ 0, of a common c.

    Least squares over the epochs so far (Domhan et al., IJCAI 2015, one family of theirs). A few epochs
    do not tell c, so all curves share the one that leaves the least summed squares, the dense
    network's whole curve counted among them.
    """
    curves = [item.valid_losses for item in compared.candidates]
    dense = () if compared.dense is None else (compared.dense.valid_losses,)

    def missed(power: float) -> float:
        return sum(power_law(curve, power)[2] for curve in (*curves, *dense))

    power = min(POWERS, key=missed)
    laws = [power_law(curve, power) for curve in curves]
    return [a + b * max(compared.budget, 1) ** -power for a, b, _ in laws]


@needs("dense")
def beside_dense(compared: Comparison) -> list[float]:
    """Loss at the full budget: the dense network's, and the difference by its trend so far.

    The dense curve is known to its end, so what all curves share (a fall of the learning rate, the
    beginning of averaging) need not be predicted: only the difference is, by a line over ln(epoch)
    that passes through the last epoch. Its slope, by least squares over the later half of the epochs,
    is drawn half-way to the mean of all compared, as few epochs tell little of one.
    """
    dense = () if compared.dense is None else compared.dense.valid_losses
    gaps = [beside(item.valid_losses, dense) for item in compared.candidates]
    slopes = [_trend(each) for each in gaps]
    mean = sum(slopes) / len(slopes)
    end = dense[-1] if dense else 0.0
    return [
        end + each[-1] + (own + mean) / 2 * math.log(max(1.0, compared.budget / len(each)))
        for each, own in zip(gaps, slopes, strict=True)
    ]


def beside(own: Sequence[float], dense: Sequence[float]) -> list[float]:
    """How far a curve lies above the dense one, by epoch, as long as both are known."""
    return [v - d for v, d in zip(own, dense, strict=False)] or [own[-1]]


def _trend(gaps: Sequence[float]) -> float:
    """Slope over ln(epoch) of the last max(2, half) epochs; 0 where there is but one."""
    window = max(2, math.ceil(len(gaps) / 2))
    epochs = [math.log(k + 1) for k in range(len(gaps))]
    return slope(epochs[-window:], gaps[-window:])


def power_law(curve: Sequence[float], power: float) -> tuple[float, float, float]:
    """a, b ≥ 0 and summed squares of the best a + b t^(−power) through a curve from epoch 1."""
    x = [(k + 1) ** -power for k in range(len(curve))]
    b = max(0.0, slope(x, curve))
    a = sum(curve) / len(curve) - b * sum(x) / len(x)
    return a, b, sum((a + b * u - v) ** 2 for u, v in zip(x, curve, strict=True))


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the least-squares line; 0 where x does not vary."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((u - mean_x) ** 2 for u in x)
    joint = sum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True))
    return joint / spread if spread else 0.0
