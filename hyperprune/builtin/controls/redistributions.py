"""Redistribution controls: a tensor's share of what is to grow (see `hyperprune.sparsity`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperprune.hookspecs import control

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.sparsity import TensorView


def none(view: TensorView) -> float:
    """Each tensor regrows what it lost."""
    return view.count


def magnitude(view: TensorView) -> float:
    """By mean |w| over active weights: Mostafa & Wang 2019."""
    return _mean_over_active(view, view.weight)


@control(averages=True)
def momentum(view: TensorView) -> float:
    """By mean |average gradient| over active weights: Dettmers & Zettlemoyer 2019."""
    return _mean_over_active(view, view.average)


def nonzeros(view: TensorView) -> float:
    """By the number of active weights."""
    return int(view.mask.count_nonzero())


def gradient(view: TensorView) -> float:
    """By mean |∂L/∂w| over active weights."""
    return _mean_over_active(view, view.gradient)


def _mean_over_active(view: TensorView, tensor: Tensor) -> float:
    total = tensor.abs().mul_(view.mask).sum()
    return float(total) / max(1, int(view.mask.count_nonzero()))
