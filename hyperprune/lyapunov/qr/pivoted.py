"""The leading directions by elimination instead of orthogonalisation, the fastest on a CPU.

With P_t J_t X_{t−1} = L_t U_t and X_t = P_tᵀ L_t, the product of all Jacobians is X_T U_T … U_1, and
with X_T = Q R_e its R is R_e U_T … U_1. So the logs of U's diagonals add up to those of R's (Benettin
et al. 1980) once those of R_e are added, which takes one QR where a sum is wanted, not one a step.
Nothing is approximated: X_t spans what Q_t spans, and pivoting keeps it well conditioned (entries of
L are at most 1 in size), so each step has the digits that QR at each step has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.lyapunov.qr.frame import SAFE, Frame
from hyperprune.lyapunov.qr.lu_dense import DenseFactors, Factors
from hyperprune.lyapunov.qr.lu_memory import MemoryFactors
from hyperprune.lyapunov.tangent import Block, MemoryBlock


class PivotedFrame(Frame):
    """The frame as the factors of elimination; float64 on a CPU."""

    factors: Factors | None = None
    due: Tensor | float = 0.0
    """What the factors split off since the last settlement lack, but for the frame as it is now."""

    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k), not orthonormal."""
        return self.start() if self.factors is None else self.factors.columns()

    def advance(self, block: Block) -> Tensor:
        """Push the frame through J (b, n, n): the diagonal of the factor split off, (b, k)."""
        if self.factors is None:
            kind = MemoryFactors if isinstance(block, MemoryBlock) else DenseFactors
            self.factors = kind(self.b, self.n, self.k)
        return self._split(self.factors, self.factors.step(block), block)

    def factor(self, product: Tensor) -> Tensor:
        """Keep the unit lower factor of J X (b, n, k): |diag U| (b, k)."""
        if self.factors is None:
            self.factors = DenseFactors(self.b, self.n, self.k)
        assert isinstance(self.factors, DenseFactors)
        return self._split(self.factors, self.factors.factor(product), product)

    def settle(self) -> Tensor | float:
        """Logs (b, k) that turn the sum over factors since the last call into that over QR's R."""
        if self.factors is None:
            return 0.0
        self.factors.release()
        before, own = self.due, self.factors.own().log()
        self.due = -own
        return before + own

    def _split(self, factors: Factors, diagonal: Tensor, pushed: Block) -> Tensor:
        """|diag U| of this step, 0 where it is noise beside its column and its row.

        What is small and no noise stays as it is: the sum over factors is then still R's.
        """
        sizes = diagonal.numpy()  # see `Triangles`
        if sizes.min() > SAFE * self.floor * sizes.max():
            return diagonal
        scale = factors.scale(row_sizes(pushed))
        return torch.where(diagonal <= self.floor * scale, 0.0, diagonal)


def row_sizes(block: Block) -> Tensor:
    """The largest entry of each row (b, n), a memory block's in the coordinates that are eliminated."""
    if not isinstance(block, MemoryBlock):
        return block.abs().amax(-1)
    below = torch.maximum(block.C.abs().amax(-1), block.d.abs())
    return torch.cat([block.D.abs().amax(-1), below], -1)
