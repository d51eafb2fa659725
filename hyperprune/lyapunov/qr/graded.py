"""Householder frames in coordinates that keep the digits of small rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hyperprune.lyapunov.qr.householder import HouseholderFrame
from hyperprune.lyapunov.tangent import Block, MemoryBlock


@dataclass(frozen=True)
class Turned:
    """A memory block with each pair of rows (h_i, c_i) rotated until h_i has no ∂/∂c.

    [[upper, 0], [lower, diag(diagonal)]]: (B, H, H), (B, H, H) and (B, H), by the angles whose cosines
    and sines (B, H) are given.
    """

    upper: Tensor
    lower: Tensor
    diagonal: Tensor
    cosine: Tensor
    sine: Tensor

    @classmethod
    def of(cls, block: MemoryBlock) -> Turned:
        """Rotate by the angle of slope: what both rows have of ∂c' cancels without a rounding error."""
        length = torch.hypot(block.slope, torch.ones_like(block.slope))
        cosine, sine = 1 / length, block.slope / length
        return cls(
            cosine[..., None] * block.D,
            (length[..., None] * block.C).addcmul_(sine[..., None], block.D),
            length * block.d,
            cosine,
            sine,
        )

    def dense(self) -> Tensor:
        """The same as one tensor (B, 2H, 2H)."""
        upper = torch.cat([self.upper, torch.zeros_like(self.upper)], -1)
        return torch.cat([upper, torch.cat([self.lower, torch.diag_embed(self.diagonal)], -1)], -2)


class GradedFrame(HouseholderFrame):
    """Reflectors in coordinates that let small rows keep their digits: float32 needs that.

    Coordinates are free: P_t J_t P_{t−1}ᵀ with P orthogonal has the R of J_t. Householder QR rounds
    each row relative to itself where rows come largest first (Cox & Higham 1998), so P_t sorts them;
    a memory block is turned first. On trained networks this takes the error of the most contracting
    exponents in float32 from 1e-2 to 1e-4, in float64 from 1e-9 to 1e-12.
    """

    turn: Turned | None = None
    order: Tensor | None = None

    def advance(self, block: Block) -> Tensor:
        """Change the coordinates of rows and columns, then push all reflectors through."""
        if self.narrow:
            return super().advance(block.to(self.dtype))
        if isinstance(block, MemoryBlock):
            turn = Turned.of(block)
            J = turned_columns(turn.dense().to(self.dtype), self.turn)
            self.turn = turn
        else:
            J = block.to(self.dtype)
        if self.order is not None:
            J = J.gather(-1, self.order[:, None, :].expand_as(J))
        norms = J.norm(dim=-1)
        self.order = norms.argsort(dim=-1, descending=True, stable=True)  # (b, n)
        self.rows = norms.gather(-1, self.order)[:, : self.k]
        return super().advance(J.gather(-2, self.order[..., None].expand_as(J)))


def turned_columns(J: Tensor, turn: Turned | None) -> Tensor:
    """Undo on the columns of J what the step before did to its rows."""
    if turn is None:
        return J
    c, s = (part.to(J.dtype)[:, None, :] for part in (turn.cosine, turn.sine))
    left, right = J.chunk(2, -1)
    return torch.cat([c * left - s * right, s * left + c * right], -1)
