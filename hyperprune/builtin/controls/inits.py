"""Sparse initialisations: a tensor's share of the active weights (see `hyperprune.sparsity`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hyperprune.builtin.controls.gates import Shares, gate_shares

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.sparsity import TensorView


def uniform(view: TensorView) -> float:
    """The same density in every tensor."""
    return view.weight.numel()


def er(view: TensorView) -> float:
    """Density in proportion to (rows + columns) / (rows · columns): Mocanu et al. 2018; Evci 2020.

    p_l = ε (rows + cols) / (rows · cols) gives tensor l a share of rows + cols of what is active;
    where that exceeds the tensor it is dense, and ε is solved again for the rest.
    """
    return sum(view.weight.shape)


def balanced_row(view: TensorView) -> list[float]:
    """The same density in every tensor, and as many active weights in each row of it."""
    rows = view.weight.shape[0]
    return [view.weight.numel() / rows] * rows


def balanced_gate(view: TensorView) -> list[float]:
    """The same density in every tensor, and as many active weights in each gate of it."""
    sizes = [rows.stop - rows.start for rows in view.gates.values()]
    blocks = view.weight.shape[0] // math.gcd(*sizes) if sizes else 1
    return [view.weight.numel() / blocks] * blocks


def by_gate(view: TensorView, *, shares: Shares = ()) -> list[float]:
    """The same density in every tensor, and in each gate of it one in proportion to its share.

    `shares` are densities one to another, in the order of the gates; RNNoise has such by hand.
    """
    rows, weights = gate_shares(view, shares)
    blocks = math.gcd(*(own.stop - own.start for own in rows))
    total = sum((own.stop - own.start) * w for own, w in zip(rows, weights, strict=True))
    return [
        view.weight.numel() * blocks * weight / total
        for own, weight in zip(rows, weights, strict=True)
        for _ in range((own.stop - own.start) // blocks)
    ]


def snip(view: TensorView) -> Tensor:
    """Keep the weights of largest |w · ∂L/∂w| in the dense network: Lee et al. 2019."""
    return (view.weight * view.gradient).abs()


def magnitude(
    view: TensorView,
    *,
    among: Annotated[
        Literal["network", "tensor"], Field(description="what a weight is ranked within")
    ] = "network",
) -> Tensor:
    """Keep the largest |w|, of a network that has been trained: Han et al. 2015.

    Ranked within the network, or within each tensor, which gives every tensor the same density.
    """
    size = view.weight.abs()
    if among == "network":
        return size
    ranks = size.flatten().argsort(stable=True).argsort(stable=True)
    return ranks.reshape(size.shape).double() / size.numel()
