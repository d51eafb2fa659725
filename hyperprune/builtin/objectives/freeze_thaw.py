"""A Gaussian process over settings and epochs: what each curve will settle at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hyperprune.search.objective import Comparison, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NOISE = 1e-4
"""Variance (nats²) of one epoch's validation loss: about what neighbouring epochs differ by."""


def freeze_thaw(
    compared: Comparison,
    *,
    length: Annotated[float, Field(gt=0)] = 1.0,
    last: Annotated[int, Field(ge=1)] = 6,
) -> list[float]:
    """Level at which each validation curve will settle, by a freeze–thaw Gaussian process.

    Swersky, Snoek & Adams (arXiv 1406.3896): a curve is a level, which similar settings share, plus a
    sum of decaying exponentials, whose covariance over epochs is β^α / (t + t' + β)^α. Levels have
    a squared-exponential kernel over settings (`length` in units of one setting that differs); the
    scales of both parts come from the losses themselves, α = β = 1. The `last` epochs are read.
    """
    import numpy as np

    items = compared.candidates
    epochs = min(item.epochs for item in items)
    first = max(0, epochs - last)
    times = np.arange(first + 1, epochs + 1, dtype=np.float64)  # (t,)
    curves = np.array([item.valid_losses[first:epochs] for item in items])  # (n, t)
    spread = max(float(curves[:, -1].var()), NOISE)
    fall = max(float((curves[:, 0] - curves[:, -1]).mean()) ** 2, NOISE)
    levels = spread * np.exp(-0.5 * settings_apart(items) / length**2)  # (n, n)
    levels += 0.1 * spread * np.eye(len(items))  # what settings do not explain
    decay = 1.0 / (times[:, None] + times[None, :] + 1.0)
    course = fall * decay / decay[0, 0] + NOISE * np.eye(len(times))  # (t, t), of every curve alike
    # One candidate's curve integrates to an estimate of its level, with weights and a variance: so
    # the joint solve is over n levels rather than n·t losses.
    ones = np.linalg.solve(course, np.ones(len(times)))
    precision = float(ones.sum())
    estimates = curves @ ones / precision  # (n,)
    mean = float(estimates.mean())
    gain = levels @ np.linalg.inv(levels + np.eye(len(items)) / precision)
    return [float(value) for value in mean + gain @ (estimates - mean)]


def settings_apart(items: Sequence[Progress]) -> Array:
    """Squared distance (n, n) between configurations: 1 for each choice that differs.

    A number counts by the share of its own range among the candidates.
    """
    import numpy as np

    total = np.zeros((len(items), len(items)))
    for path in sorted({path for item in items for path in item.configuration}):
        values = [item.configuration.get(path) for item in items]
        total += _apart(values)
    return total


def _apart(values: Sequence[Any]) -> Array:
    import numpy as np

    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        numbers = np.array(values, dtype=np.float64)
        scale = float(np.ptp(numbers)) or 1.0
        apart: Array = ((numbers[:, None] - numbers[None, :]) / scale) ** 2
        return apart
    return np.array([[float(a != b) for b in values] for a in values])
