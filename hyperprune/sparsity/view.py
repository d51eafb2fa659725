"""What a control sees of one masked tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hyperprune.errors import SparsityError
from hyperprune.sparsity.blocks import Grid, covered


class NoGradient(SparsityError):
    """A control asked for the gradient of a tensor that has none."""


@dataclass(frozen=True, eq=False)
class TensorView:
    """One masked tensor at the moment that a control is asked about it; not to be written to.

    `count` is the number at stake: weights to remove (removal), removed (redistribution) or to
    grow (growth). `mask` is true where a weight is active: for growth, after removal; for the
    others, before. `gates` has the rows of each gate that the tensor stacks, if it does.
    """

    name: str
    weight: Tensor
    mask: Tensor  # bool, the weight's shape
    ever_active: Tensor  # bool, the weight's shape
    generator: torch.Generator
    density: float  # of the whole network
    count: int = 0
    gates: Mapping[str, slice] = field(default_factory=dict)
    along: int | None = None  # see `hyperprune.sparsity.slices`
    grid: Grid | None = None  # see `hyperprune.sparsity.blocks`
    _gradient: Callable[[], Tensor | None] = lambda: None
    _average: Callable[[], Tensor | None] = lambda: None

    @property
    def places(self) -> Tensor:
        """Which of the things that move are active: blocks (P, Q), or the weights themselves."""
        return covered(self.grid, self.mask)

    @property
    def size(self) -> int:
        """How many things there are to move."""
        return self.mask.numel() if self.grid is None else self.grid.size

    @property
    def gradient(self) -> Tensor:
        """Dense ∂L/∂w of the current step, inactive entries included."""
        gradient = self._gradient()
        if gradient is None:
            raise NoGradient(
                f"{self.name} has no gradient: call step() after backward(), and give "
                "SparseTraining `gradients=` when an initialisation needs them"
            )
        return gradient

    @property
    def average(self) -> Tensor:
        """Exponential average of the dense gradient, kept apart from the optimiser's state."""
        average = self._average()
        if average is None:
            raise SparsityError(
                f"no gradient average is kept for {self.name}: a control that reads it must be "
                "declared with @control(averages=True)"
            )
        return average
