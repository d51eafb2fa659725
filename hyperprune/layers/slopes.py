"""A factor times the slope of a tanh or a sigmoid that is known by its value, in one pass over memory."""

from __future__ import annotations

import torch
from torch import Tensor


def tanh_slope(factor: Tensor, value: Tensor, out: Tensor) -> None:
    """Set `out` to factor ⊙ (1 − value²), value = tanh(z), all of one shape."""
    torch.ops.aten.tanh_backward.grad_input(factor, value, grad_input=out)


def sigmoid_slope(factor: Tensor, value: Tensor, out: Tensor) -> None:
    """Set `out` to factor ⊙ value ⊙ (1 − value), value = σ(z), all of one shape."""
    torch.ops.aten.sigmoid_backward.grad_input(factor, value, grad_input=out)
