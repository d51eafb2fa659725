"""The controls of a sparse training, and what they are shown of its tensors."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyperprune.runtime.seeds import derive
from hyperprune.sparsity.allocate import active_total
from hyperprune.sparsity.groups import initial_groups, kept, planned_groups
from hyperprune.sparsity.masked import Masked
from hyperprune.sparsity.units import UnitBlocks
from hyperprune.sparsity.update import Change, Control, finite, initial_masks, planned
from hyperprune.sparsity.view import TensorView
from hyperprune.terms.blocks import EACH, WHOLE, n_of_m

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
    block: str = EACH
    units: UnitBlocks | None = (
        None  # where units of all tensors move, in place of a tensor's blocks
    )

    @classmethod
    def of(cls, chosen: Mapping[str, Any], seed: int) -> Method:
        """Look the controls up."""
        controls: dict[str, Any] = {kind: Control.of(kind, chosen[kind]) for kind in KINDS}
        return cls(**controls, seed=seed, block=chosen["block"])

    @property
    def averages(self) -> bool:
        """Whether a control reads averages of the dense gradient."""
        controls = (self.init, self.removal, self.growth, self.redistribution)
        return any(control.declared("averages", False) for control in controls)

    @property
    def apart(self) -> bool:
        """Whether blocks of different tensors differ in size, so that each tensor keeps its own."""
        return self.block in WHOLE

    def total(self, tensors: Sequence[Masked], density: float) -> int:
        """Active places at a density: blocks, or weights."""
        group = n_of_m(self.block)
        if group is not None:
            return sum(kept(tensor.mask.shape, group) for tensor in tensors)
        if self.units is not None:
            return self.units.total(density)
        if self.apart:
            return sum(own_total(tensor, density) for tensor in tensors)
        return active_total(density, [tensor.places for tensor in tensors])

    def placed(self, tensors: Sequence[Masked]) -> int:
        """Active places now."""
        if self.units is not None:
            return sum(int(units.sum()) for units in self.units.now().values())
        return sum(tensor.placed for tensor in tensors)

    def first(
        self,
        tensors: Sequence[Masked],
        total: int,
        density: float,
        gradient: Callable[[Masked], Tensor | None],
    ) -> list[Tensor]:
        """Masks with `total` active weights, as the initialisation says."""
        views = self._views(tensors, "init", 0, density, gradient)
        with finite(views):
            group = n_of_m(self.block)
            if group is not None:
                return initial_groups(views, self.init, group)
            if self.units is not None:
                return self.units.first(views, density, self.init, self._lots("init", 0))
            if self.apart:
                own = [own_total(tensor, density) for tensor in tensors]
                each = zip(views, own, strict=True)
                return [initial_masks([view], count, self.init)[0] for view, count in each]
            return initial_masks(views, total, self.init)

    def change(
        self,
        tensors: Sequence[Masked],
        number: int,
        density: float,
        rate: float,
        shrink: int,
        threshold: float,
    ) -> Change:
        """What the update of a number would do; nothing is written.

        Where nothing is to `shrink`, each tensor whose blocks are its own keeps as many as it has: what
        masks from elsewhere gave it.
        """
        before = self._views(tensors, "remove", number, density)
        after = self._views(tensors, "grow", number, density)
        controls = (self.removal, self.redistribution, self.growth)
        with finite(before):
            group = n_of_m(self.block)
            if group is not None:
                return planned_groups(before, after, controls, rate, threshold, group)
            if self.units is not None:
                lots = self._lots("remove", number), self._lots("grow", number)
                return self.units.planned(
                    before, after, controls, rate, shrink, threshold, density, lots
                )
            if not self.apart:
                return planned(before, after, controls, rate, shrink, threshold)
            own = [
                tensor.placed - own_total(tensor, density) if shrink else 0 for tensor in tensors
            ]
            changes = [
                planned([old], [new], controls, rate, surplus, threshold)
                for old, new, surplus in zip(before, after, own, strict=True)
            ]
            return Change(
                [change.gone[0] for change in changes],
                [change.grown[0] for change in changes],
                statistics.median_low(change.threshold for change in changes),
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
                grid=tensor.grid,
                _gradient=lambda tensor=tensor: gradient(tensor),  # type: ignore[misc]
                _average=lambda tensor=tensor: tensor.average,  # type: ignore[misc]
            )
            for tensor in tensors
        ]

    def _lots(self, stage: str, number: int) -> Callable[[str], torch.Generator]:
        """Generators of layers, whose names are no tensor's."""
        return lambda name: self._generator(stage, number, f"units of {name}")

    def _generator(self, stage: str, number: int, name: str) -> torch.Generator:
        """The generator of one tensor at one update: from the seed and its name, not from earlier draws."""
        return torch.Generator().manual_seed(derive(self.seed, stage, number, name))


def own_total(tensor: Masked, density: float) -> int:
    """Blocks that a tensor keeps where each has its own share: never none."""
    return max(1, active_total(density, [tensor.places]))
