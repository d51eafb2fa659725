"""How far the winner ends from the dense network, over seeds: a difference with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Margin:
    """Mean best validation loss of the winner less the dense network's, nats per token.

    low, high: its 95 % interval; None where either has a single seed.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def met(self) -> bool | None:
        """Whether the target is met: True or False where the interval leaves no doubt, else None."""
        if self.low is None or self.high is None:
            return None
        return True if self.high <= 0 else False if self.low > 0 else None


def margin(winner: Sequence[float], dense: Sequence[float]) -> Margin:
    """Difference of two means of losses with Welch's interval (Welch 1947, Biometrika 34)."""
    value = _mean(winner) - _mean(dense)
    if min(len(winner), len(dense)) < 2:
        return Margin(value, None, None)
    from scipy.stats import t

    a, b = (_variance(losses) / len(losses) for losses in (winner, dense))
    if a + b == 0:
        return Margin(value, value, value)
    freedom = (a + b) ** 2 / (a**2 / (len(winner) - 1) + b**2 / (len(dense) - 1))
    reach = float(t.ppf(0.5 + LEVEL / 2, freedom)) * math.sqrt(a + b)
    return Margin(value, value - reach, value + reach)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)
