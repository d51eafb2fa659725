"""What several seeds say together: mean, spread and Student's interval, also of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """A sample in five numbers.

    std: standard deviation of the sample (n − 1). low, high: 95 % interval of the mean by Student's t
    (Student 1908). None where a single value says nothing of them, and mean where there is none.
    """

    count: int
    mean: float | None
    std: float | None = None
    low: float | None = None
    high: float | None = None


def summary(values: Sequence[float]) -> Summary:
    """Summarise a sample; values are finite."""
    count = len(values)
    if not count:
        return Summary(0, None)
    mean = math.fsum(values) / count
    if count == 1:
        return Summary(1, mean)
    from scipy.stats import t

    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    reach = float(t.ppf(0.5 + LEVEL / 2, count - 1)) * std / math.sqrt(count)
    return Summary(count, mean, std, mean - reach, mean + reach)


def paired(values: Mapping[Any, float], others: Mapping[Any, float]) -> Summary:
    """Summarise differences `values − others` over the keys (seeds) that both have."""
    return summary([values[key] - others[key] for key in values if key in others])
