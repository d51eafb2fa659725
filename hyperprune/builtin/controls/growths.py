"""Growth controls: inactive entries of the highest salience come (see `hyperprune.sparsity`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperprune.builtin.controls.gates import Shares, gate_shares
from hyperprune.hookspecs import control

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.sparsity import TensorView


def random(view: TensorView) -> Tensor:
    """Any inactive weights, by lot: Mocanu et al. 2018."""
    return view.weight.new_zeros(()).expand_as(view.weight)


def gradient(view: TensorView) -> Tensor:
    """Largest |∂L/∂w| of the current step's dense gradient: Evci et al. 2020 (RigL)."""
    return view.gradient.abs()


@control(averages=True)
def momentum(view: TensorView) -> Tensor:
    """Largest |exponential average of the dense gradient|: Dettmers & Zettlemoyer 2019."""
    return view.average.abs()


def cell_gate(view: TensorView) -> Tensor:
    """More where a gate's active weights are larger, by lot inside a gate: Liu et al. 2021.

    Gates share the quota in proportion to their mean active |w|, capped by their free places; a
    tensor without gates grows by lot.
    """
    from hyperprune.sparsity.allocate import apportion
    from hyperprune.sparsity.topk import choose

    gates = list(view.gates.values()) or [slice(None)]
    active = [int(view.mask[rows].count_nonzero()) for rows in gates]
    size = view.weight.abs() * view.mask
    mean = [float(size[rows].sum()) / max(n, 1) for rows, n in zip(gates, active, strict=True)]
    free = [view.mask[rows].numel() - n for rows, n in zip(gates, active, strict=True)]
    growing = view.mask.new_zeros(view.mask.shape)
    for rows, quota in zip(gates, apportion(view.count, mean, free), strict=True):
        growing[rows] = choose(~view.mask[rows], quota, view.generator)
    return growing.to(view.weight.dtype)


def by_gate(view: TensorView, *, shares: Shares = ()) -> Tensor:
    """So that the densities of the gates stay in proportion to their shares, by lot inside a gate."""
    from hyperprune.sparsity.allocate import apportion
    from hyperprune.sparsity.topk import choose

    gates, weights = gate_shares(view, shares)
    sizes = [view.mask[rows].numel() for rows in gates]
    active = [int(view.mask[rows].count_nonzero()) for rows in gates]
    free = [size - n for size, n in zip(sizes, active, strict=True)]
    aims = apportion(
        sum(active) + view.count, [w * n for w, n in zip(weights, sizes, strict=True)], sizes
    )
    lacks = [max(0, aim - n) for aim, n in zip(aims, active, strict=True)]
    growing = view.mask.new_zeros(view.mask.shape)
    for rows, quota in zip(gates, apportion(view.count, lacks, free), strict=True):
        growing[rows] = choose(~view.mask[rows], quota, view.generator)
    return growing.to(view.weight.dtype)


def random_unfired(view: TensorView) -> Tensor:
    """Weights that were never active first, by lot: Liu et al. 2021 (ITOP)."""
    return (~view.ever_active).to(view.weight.dtype)
