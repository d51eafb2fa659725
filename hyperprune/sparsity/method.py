"""The controls of a sparse training, and what they are shown of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyperprune.runtime.seeds import derive
from hyperprune.sparsity.masked import Masked
from hyperprune.sparsity.update import Change, Control, initial_masks, planned
from hyperprune.sparsity.view import TensorView

KINDS = ("init", "removal", "growth", "redistribution", "schedule")
Chosen = str | Mapping[str, Any] | Callable[..., Any]
"""A control by name, by `{"name": …, option: …}`, or itself."""


@dataclass(frozen=True)
class Method:
    """Which control answers which question, and the seed of what is settled by lot."""

    init: Control
    removal: Control
    growth: Control
    redistribution: Control
    schedule: Control
    seed: int

    @classmethod
    def of(cls, chosen: Mapping[str, Any], seed: int) -> Method:
        """Look the controls up."""
        return cls(**{kind: Control.of(kind, chosen[kind]) for kind in KINDS}, seed=seed)

    @property
    def averages(self) -> bool:
        """Whether a control reads averages of the dense gradient."""
        controls = (self.init, self.removal, self.growth, self.redistribution)
        return any(control.declared("averages", False) for control in controls)

    def first(
        self,
        tensors: Sequence[Masked],
        total: int,
        density: float,
        gradient: Callable[[Masked], Tensor | None],
    ) -> list[Tensor]:
        """Masks with `total` active weights, as the initialisation says."""
        return initial_masks(self._views(tensors, "init", 0, density, gradient), total, self.init)

    def change(
        self,
        tensors: Sequence[Masked],
        number: int,
        density: float,
        rate: float,
        shrink: int,
        threshold: float,
    ) -> Change:
        """What the update of a number would do; nothing is written."""
        return planned(
            self._views(tensors, "remove", number, density),
            self._views(tensors, "grow", number, density),
            (self.removal, self.redistribution, self.growth),
            rate,
            shrink,
            threshold,
        )

    def _views(
        self,
        tensors: Sequence[Masked],
        stage: str,
        number: int,
        density: float,
        gradient: Callable[[Masked], Tensor | None] = Masked.gradient,
    ) -> list[TensorView]:
        return [
            TensorView(
                name=tensor.name,
                weight=tensor.parameter.detach(),
                mask=tensor.mask,
                ever_active=tensor.ever,
                generator=self._generator(stage, number, tensor.name),
                density=density,
                gates=tensor.gates,
                along=tensor.along,
                _gradient=lambda tensor=tensor: gradient(tensor),  # type: ignore[misc]
                _average=lambda tensor=tensor: tensor.average,  # type: ignore[misc]
            )
            for tensor in tensors
        ]

    def _generator(self, stage: str, number: int, name: str) -> torch.Generator:
        """Randomness of one tensor at one update: from the seed and its name, never from before."""
        return torch.Generator().manual_seed(derive(self.seed, stage, number, name))
