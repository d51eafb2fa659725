"""The same network with its units under other names, to test that nothing depends on their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.lyapunov.tangent import Block, LayerTangent, MemoryBlock, StateKind
from hyperprune.model import State, StatePart


class Renamed(nn.Module):
    """s' = P step(x, Pᵀ s), with P a permutation of each layer's units drawn from a seed.

    A memory keeps the unit it belongs to. The derivative is P J Pᵀ.
    """

    state_parts: Sequence[StatePart]

    def __init__(self, model: Any, seed: int) -> None:
        super().__init__()
        self.model, self.state_parts = model, model.state_parts
        draw = torch.Generator().manual_seed(seed)
        names: dict[tuple[int, int], Tensor] = {}
        for part in self.state_parts:
            if (part.layer, part.size) not in names:
                names[part.layer, part.size] = torch.randperm(part.size, generator=draw)
        self.names = [names[part.layer, part.size] for part in self.state_parts]

    def initial_state(self, batch: int) -> State:
        """The network's own, renamed."""
        return self._renamed(self.model.initial_state(batch))

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of the recurrence."""
        return self._renamed(self.model.step(x_t, self._original(state)))

    def tangent(
        self, inputs: Tensor, state: State, kind: StateKind
    ) -> tuple[list[LayerTangent], State]:
        """The network's own derivative, rows and columns renamed."""
        tangents, state = self.model.tangent(inputs, self._original(state), kind)
        names = {
            part.layer: order
            for part, order in zip(self.state_parts, self.names, strict=True)
            if part.kind == "hidden"
        }
        return [RenamedTangent(own, names[own.layer]) for own in tangents], self._renamed(state)

    def _renamed(self, state: State) -> State:
        return tuple(part[:, names] for part, names in zip(state, self.names, strict=True))

    def _original(self, state: State) -> State:
        return tuple(
            part[:, names.argsort()] for part, names in zip(state, self.names, strict=True)
        )


class RenamedTangent(LayerTangent):
    """A layer's derivative with rows and columns renamed: P J Pᵀ."""

    def __init__(self, own: LayerTangent, names: Tensor) -> None:
        self.own, self.names = own, names
        self.layer, self.size = own.layer, own.size

    def block(self, t: int, rows: slice) -> Block:
        """The derivative at step t."""
        block, names = self.own.block(t, rows), self.names
        if isinstance(block, MemoryBlock):
            D, C = (part[:, names][:, :, names] for part in (block.D, block.C))
            return MemoryBlock(D, C, block.slope[:, names], block.d[:, names])
        if len(names) < self.size:  # (h, c) in one dense block
            names = torch.cat([names, names + len(names)])
        return block[:, names][:, :, names]
