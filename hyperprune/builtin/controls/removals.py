"""Removal controls: active entries of the lowest salience go (see `hyperprune.sparsity`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune.hookspecs import control

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.sparsity import TensorView


def magnitude(view: TensorView) -> Tensor:
    """Smallest |w| of each tensor: Han et al. 2015; Liu et al. 2021."""
    return view.weight.abs()


def set_zones(view: TensorView) -> Tensor:
    """The smallest positive and the negative weights nearest to 0, half each: Mocanu et al. 2018.

    Zeros count as positive, an odd one goes to the positives, and where one sign runs short the
    other makes up for it.
    """
    from hyperprune.sparsity.topk import lowest

    positive = view.mask & (view.weight >= 0)
    negative = view.mask & (view.weight < 0)
    below = min(view.count // 2, int(negative.sum()))
    above = min(view.count - below, int(positive.sum()))
    size = view.weight.abs()
    going = lowest(size, positive, above, view.generator)
    going |= lowest(size, negative, view.count - above, view.generator)
    return (~going).to(view.weight.dtype)


@control(counts="network")
def global_magnitude(view: TensorView) -> Tensor:
    """Smallest |w| of the whole network, ranked together."""
    return view.weight.abs()


@control(counts="threshold")
def threshold(view: TensorView) -> Tensor:
    """All |w| up to a threshold that adapts itself to the rate: Dettmers & Zettlemoyer 2019."""
    return view.weight.abs()


def taylor(view: TensorView) -> Tensor:
    """Smallest (w · ∂L/∂w)², the loss's first-order change: Molchanov et al. 2019."""
    return (view.weight * view.gradient).square()


def mest(
    view: TensorView,
    *,
    gamma: Annotated[float, Field(ge=0, description="weight of the gradient")] = 1.0,
) -> Tensor:
    """Smallest |w| + γ |∂L/∂w|: Yuan et al. 2021 (MEST)."""
    return view.weight.abs().add_(view.gradient.abs(), alpha=gamma)


def random(view: TensorView) -> Tensor:
    """Any active weights, by lot."""
    return view.weight.new_zeros(()).expand_as(view.weight)
