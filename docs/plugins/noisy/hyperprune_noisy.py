"""Magnitude removal that does not insist: near ties are settled by lot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune import hookimpl
from hyperprune.hookspecs import Contributions

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.sparsity import TensorView

Noise = Annotated[float, Field(ge=0, description="spread of ln |w|; 0 is plain magnitude")]


def noisy(view: TensorView, *, noise: Noise = 0.5) -> Tensor:
    """Smallest |w| · exp(noise · z), z normal: weights of about one size go by lot."""
    z = view.weight.new_empty(view.weight.shape).normal_(generator=view.generator)
    return view.weight.abs() * (noise * z).exp()


@hookimpl
def hyperprune_removals() -> Contributions:
    """Offer the removal."""
    return {"noisy": noisy}
