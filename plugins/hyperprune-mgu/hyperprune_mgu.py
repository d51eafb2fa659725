"""Minimal gated unit: a recurrent network with one gate, given by its `step` alone.

Zhou, Wu, Zhang & Zhou, *Minimal Gated Unit for Recurrent Neural Networks*, arXiv 1603.09420:

    f = σ(W_f x + U_f h + b_f)
    ĥ = tanh(W_h x + U_h (f ⊙ h) + b_h)
    h ← (1 − f) ⊙ h + f ⊙ ĥ

The Lyapunov engine differentiates `step` by itself, so nothing here says what a derivative is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune import hookimpl
from hyperprune.hookspecs import Contributions, example

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


@example(hidden=6)
def mgu(
    vocabulary: int, *, hidden: Size = 600, layers: Size = 1, dropout: Dropout = 0.5
) -> nn.Module:
    """Minimal gated unit, stacked: Zhou et al. 2016 (arXiv 1603.09420)."""
    from hyperprune_mgu_model import MinimalGatedUnit

    return MinimalGatedUnit(vocabulary, hidden=hidden, layers=layers, dropout=dropout)


@hookimpl
def hyperprune_models() -> Contributions:
    """Offer the model."""
    return {"mgu": mgu}
