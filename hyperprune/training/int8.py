"""Weights of eight bits: the rounding that every int8 file has, and training that knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LEVELS = 127


def quantised(weight: Tensor, levels: int = LEVELS) -> tuple[Tensor, Tensor]:
    """Whole numbers (R, C) within ±levels, and a scale a row (R,): its largest magnitude over levels.

    Scales have 17 bits, so that seven bits times a scale is exact in float32: what is rounded already is
    rounded to itself.
    """
    scales = (weight.abs().amax(1) / levels).float()
    scales = scales.view(torch.int32).add(64).bitwise_and(-128).view(torch.float32)
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    return (weight / scales.unsqueeze(1)).round(), scales


def rounded(weight: Tensor, levels: int = LEVELS) -> Tensor:
    """A weight of two or more dimensions as int8 holds it; its rows are those of the first."""
    values, scales = quantised(weight.flatten(1), levels)
    return (values * scales.unsqueeze(1)).view_as(weight)


@contextmanager
def held(model: nn.Module, levels: int = LEVELS) -> Iterator[None]:
    """Within the block a module's matrices are what int8 holds of them; then they are as they were.

    So a loss and its gradients are those of the rounded weights, and the step that follows moves the
    weights themselves by them: the straight-through estimator (Bengio et al. 2013, arXiv 1308.3432).
    """
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    with torch.no_grad():
        own = [parameter.clone() for parameter in matrices]
        for parameter in matrices:
            parameter.copy_(rounded(parameter, levels))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(matrices, own, strict=True):
                parameter.copy_(before)
