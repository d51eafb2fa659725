"""Derivatives of a network's recurrence along a trajectory: the contract between models and engine.

**The tangent contract.** Every model works through `step` alone: `hyperprune.lyapunov.tangent.autodiff`
differentiates it. A model may be faster by an analytic derivative, one method:

    def tangent(self, inputs, state, kind) -> tuple[Sequence[LayerTangent], State]:

- `inputs`: token ids (T, B) or embedded inputs (T, B, E); `state`: the flat state tuple before the
  first of them; `kind`: "full" or "hidden". The engine calls it without gradients, on a copy of
  the model in evaluation mode with float64 parameters, with at most `SEGMENT` steps at a time.
- It runs all T steps, keeps what its derivative needs (gate activations, not Jacobians), and
  returns one `LayerTangent` for each layer, bottom layer first, and the state after the last step.
- A `LayerTangent` answers `block(t, rows)`: the derivative of the layer's own state at step t with
  respect to its own state one step before, everything else held fixed, for the sequences `rows`
  (a slice of the batch). A stack's Jacobian is block triangular and its spectrum the union of
  these diagonal blocks' (method, section 8), so nothing between layers is ever needed.
  * kind "hidden": the (b, n, n) derivative of h alone, with the memory c held fixed;
  * kind "full": all that the layer carries, in the order of `state_parts`; for a layer of (h, c)
    whose ∂c'/∂c and ∂h'/∂c are diagonal, a `MemoryBlock`, which the engine exploits; else (b, n, n).

The pieces in `hyperprune.lyapunov.tangent.cells` cover most networks: `RowScaled` (Σ_g diag(a_g) W_g +
diag(d): tanh, GRU and each depth of a highway), `Product` (a chain of blocks inside one step) and
`Memory` (h' = o ⊙ tanh(c')), with `lstm_layer`, `gru_layer` and `tanh_layer` ready made.
`Scaled` is for recurrences that are linear in their state, diagonal, complex or with a matrix a head: their
exponents are means of ln |a_t| and take no factorisation.
A stack of LSTM layers is then

    def tangent(self, inputs, state, kind):
        x, tangents, new = self.embed(inputs), [], []
        for layer in range(self.layers):
            h, c = state[2 * layer : 2 * layer + 2]
            x, carried, tangent = lstm_layer(layer, x, h, c, *self.weights(layer), kind=kind)
            tangents.append(tangent)
            new += carried
        return tangents, tuple(new)

No n × n diagonal matrix is ever formed: a row scaling costs n², the product with a diagonal n³.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

StateKind: TypeAlias = Literal["full", "hidden"]

SEGMENT = 32
"""Most steps a tangent is asked for at a time, which bounds the activations it keeps."""


@dataclass(frozen=True)
class MemoryBlock:
    """A block of a layer that carries (h, c), h' = F(c', h, x), c followed elementwise.

    D = ∂h'/∂h with c' held fixed and C = ∂c'/∂h are (B, H, H); slope = ∂h'/∂c' and d = ∂c'/∂c are
    diagonals (B, H). So the block is [[D + diag(slope) C, diag(slope d)], [C, diag(d)]].
    """

    D: Tensor
    C: Tensor
    slope: Tensor
    d: Tensor

    def dense(self) -> Tensor:
        """The same block as one tensor (B, 2H, 2H)."""
        upper = torch.addcmul(self.D, self.slope[..., None], self.C)
        beside = torch.diag_embed(self.slope * self.d)
        return torch.cat(
            [torch.cat([upper, beside], -1), torch.cat([self.C, torch.diag_embed(self.d)], -1)], -2
        )

    def to(self, dtype: torch.dtype) -> MemoryBlock:
        """The same block in another dtype."""
        return MemoryBlock(*(part.to(dtype) for part in (self.D, self.C, self.slope, self.d)))

    def __matmul__(self, Q: Tensor) -> Tensor:
        """The block times Q (B, 2H, k), which knows that half of it is diagonal."""
        upper, lower = Q.chunk(2, -2)
        memory = torch.baddbmm(self.d[..., None] * lower, self.C, upper)  # δc'
        hidden = torch.baddbmm(self.slope[..., None] * memory, self.D, upper)
        return torch.cat([hidden, memory], -2)


Block: TypeAlias = Tensor | MemoryBlock


class LayerTangent(ABC):
    """The derivative of one layer's recurrence at every step of a driven segment."""

    layer: int
    size: int
    """Exponents that the layer has: the rows of its block."""

    @abstractmethod
    def block(self, t: int, rows: slice) -> Block:
        """Derivative at step t of the segment, for the sequences `rows`: (b, size, size)."""

    def blocks(self, steps: range, rows: slice) -> Iterator[Block]:
        """The blocks of several steps, each good until the next is asked for.

        Override where making some of them at once is cheaper.
        """
        return (self.block(t, rows) for t in steps)

    def product(self, t: int, rows: slice, Q: Tensor) -> Tensor:
        """The derivative at step t times Q (b, size, k); override where the block is not needed."""
        return self.block(t, rows) @ Q
