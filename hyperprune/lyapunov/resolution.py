"""The resolution of a spectrum: below it an exponent says only that a direction is lost.

Where the product of Jacobians has lost rank, what a factorisation puts in place of a lost column is
rounding noise, and so are its later R_ii. A chain of L units that feed one another, disturbed by δ,
has the exponent ln(δ)/L where it had −∞: a network rounded to its weights' precision is such a
disturbance, and the shortest chain that a step does not already forget has two units.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

CHAIN = 2
"""Units of the shortest chain that rounding closes to a loop."""
FINEST = torch.float32
"""Weights kept in more digits than this resolve no more: the arithmetic's own rounding, 1e-16, closes
chains of four and five units there (exponents of −9 and −7)."""


def resolution_of(dtype: torch.dtype, steps: int) -> float:
    """ln(rounding of the weights) / 2 in whole nats a step: −8 for float32, −3 and −2 for halves.

    A chain is no longer than the counted steps: a single one resolves ln(rounding), −16.
    """
    rounding = max(torch.finfo(dtype).eps, torch.finfo(FINEST).eps)
    return float(round(math.log(rounding) / min(CHAIN, steps)))


def weights_dtype(model: Any) -> torch.dtype:
    """The coarsest floating dtype of a network's parameters; float64 for what has none."""
    found = [torch.float64]
    if isinstance(model, nn.Module):
        found += [own.dtype for own in model.parameters() if own.is_floating_point()]
    return max(found, key=lambda dtype: torch.finfo(dtype).eps)
