"""Objectives that look at curves of loss alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from hyperprune.hookspecs import needs
from hyperprune.search.objective import Comparison

POWERS = (0.25, 0.5, 1.0, 2.0)
"""Exponents c tried for a curve a + b t^(−c)."""


def loss(compared: Comparison) -> list[float]:
    """Validation loss of the last epoch."""
    return [item.valid_losses[-1] for item in compared.candidates]


def training_speed(compared: Comparison, *, last: Annotated[int, Field(ge=0)] = 0) -> list[float]:
    """Mean of the training losses, of the `last` epochs or (0) of all: who learns fast.

    The sum of training losses of Ru et al. (NeurIPS 2021, arXiv 2006.04492), over their number.
    """
    curves = [item.train_losses[-last:] for item in compared.candidates]
    return [sum(curve) / len(curve) for curve in curves]


def extrapolated(
    compared: Comparison, *, trust: Annotated[float, Field(ge=0, le=1)] = 0.5
) -> list[float]:
    """Validation loss at the full budget, by the power law that fits the epochs so far best.

    a + b t^(−c), b ≥ 0, by least squares (Domhan et al., IJCAI 2015, one family of theirs). A few
    epochs pin it down badly, so only `trust` of the predicted change is believed.
    """
    found = []
    for item in compared.candidates:
        now = item.valid_losses[-1]
        end = power_law(item.valid_losses, compared.budget)
        found.append(now + trust * (end - now))
    return found


@needs("dense")
def beside_dense(
    compared: Comparison,
    *,
    last: Annotated[int, Field(ge=2)] = 3,
    trust: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> list[float]:
    """How far above the dense network's loss a candidate will end, by the trend of that difference.

    The dense curve is known to its end, so what all curves share (a fall of the learning rate, the
    beginning of averaging) need not be predicted: only the difference is, by a line over ln(epoch)
    through its `last` epochs, of whose change `trust` is believed.
    """
    dense = () if compared.dense is None else compared.dense.valid_losses
    found = []
    for item in compared.candidates:
        own = item.valid_losses
        known = min(len(own), len(dense))
        gaps = [own[k] - dense[k] for k in range(known)] or [own[-1]]
        rise = slope([math.log(k + 1) for k in range(len(gaps))][-last:], gaps[-last:])
        ahead = math.log(max(1.0, compared.budget / len(gaps)))
        found.append(gaps[-1] + trust * rise * ahead)
    return found


def power_law(curve: Sequence[float], end: int) -> float:
    """Value at epoch `end` of the best a + b t^(−c) through a curve from epoch 1; b is not negative."""
    best = (math.inf, curve[-1])
    for power in POWERS:
        x = [(k + 1) ** -power for k in range(len(curve))]
        b = max(0.0, slope(x, curve))
        a = sum(curve) / len(curve) - b * sum(x) / len(x)
        missed = sum((a + b * u - v) ** 2 for u, v in zip(x, curve, strict=True))
        best = min(best, (missed, a + b * max(end, len(curve)) ** -power))
    return best[1]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the least-squares line; 0 where x does not vary."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((u - mean_x) ** 2 for u in x)
    joint = sum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True))
    return joint / spread if spread else 0.0
