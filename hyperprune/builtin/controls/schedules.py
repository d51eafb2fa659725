"""Removal-rate schedules: from progress in [0, 1] of the full training and r₀ to a rate.

They fall; where r₀ lies below the minimum they stay at r₀.
"""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

from pydantic import Field

Rate: TypeAlias = Annotated[float, Field(ge=0, le=1, description="rate at the end")]


def cosine(progress: float, start: float, *, minimum: Rate = 0.005) -> float:
    """Half a cosine from r₀ to the minimum: Dettmers & Zettlemoyer 2019; Liu et al. 2021."""
    end = min(minimum, start)
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def linear(progress: float, start: float, *, minimum: Rate = 0.005) -> float:
    """A straight line from r₀ to the minimum."""
    return start + (min(minimum, start) - start) * progress


def constant(progress: float, start: float) -> float:
    """r₀ throughout."""
    return start


def polynomial(
    progress: float,
    start: float,
    *,
    minimum: Rate = 0.005,
    power: Annotated[float, Field(gt=0)] = 3.0,
) -> float:
    """Minimum + (r₀ − minimum)(1 − progress)^power: Zhu & Gupta 2017 with power 3."""
    end = min(minimum, start)
    return float(end + (start - end) * (1 - progress) ** power)
