"""The leading directions as triangular factors of row-pivoted elimination, the fastest on a CPU.

With P_t J_t X_{t−1} = L_t U_t and X_t = P_tᵀ L_t, the product of all Jacobians is X_T U_T … U_1, and
with X_T = Q R_e its R is R_e U_T … U_1. So the logs of U's diagonals add up to those of R's (Benettin
et al. 1980) once those of R_e are added, which takes one QR where a sum is wanted, not one a step.
Nothing is approximated: X_t spans what Q_t spans, and pivoting keeps it well conditioned (entries of
L are at most 1 in size), so each step has the digits that QR at each step has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.lyapunov.frame import Frame, GradedFrame, Turn, turned
from hyperprune.lyapunov.tangent import Block, MemoryBlock

PANELS = 4
"""Columns of L are multiplied in this many pieces, each without the zeros above it (measured)."""

SAFE = 1e-10
"""A pivot below this is near the floor, where U's diagonal cannot stand for R's: Householder can."""


class PivotedFrame(Frame):
    """The frame as a unit lower factor L (b, n, k) and where its rows belong; X = Pᵀ L.

    A step costs 2/3 n³ flops of elimination and n³ (1 + 1/PANELS) of products with L. From the
    first pivot near the floor on, the group goes through Householder QR.
    """

    lower: Tensor | None = None
    places: Tensor  # (b, n): row i of L is row places[i] of X
    turn: Turn | None = None
    exact: GradedFrame | None = None
    due: Tensor | float = 0.0
    """What the factors split off since the last settlement lack, but for the frame as it is now."""

    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k), not orthonormal before it went to Householder."""
        if self.exact is not None:
            return self.exact.columns()
        if self.lower is None:
            return self.start()
        index = self.places[..., None].expand_as(self.lower)
        return torch.empty_like(self.lower).scatter_(1, index, self.lower)

    def advance(self, block: Block) -> Tensor:
        """Push the frame through J (b, n, n): the diagonal of the factor split off, (b, k)."""
        if self.exact is not None:
            return self.exact.advance(block)
        if self.narrow:
            return self.factor(block @ self.columns())
        return self.factor(self._product(block))

    def factor(self, product: Tensor) -> Tensor:
        """Keep the unit lower factor of J X (b, n, k): |diag U| (b, k)."""
        if self.exact is not None:
            return self.exact.factor(product)
        factors, pivots, _ = torch.linalg.lu_factor_ex(product)
        diagonal: Tensor = factors.diagonal(dim1=-2, dim2=-1).abs()
        if bool((diagonal < SAFE).any()):
            return self._orthonormal(product)
        self.lower = factors.tril_(-1)
        self.lower.diagonal(dim1=-2, dim2=-1).fill_(1)
        self.places = _places(pivots, self.n).to(self.device)
        return diagonal

    def settle(self) -> Tensor | float:
        """Logs (b, k) that turn the sum over factors since the last call into that over QR's R."""
        before = self.due
        if self.exact is not None:
            self.due = 0.0
            return before
        own = self._own().log()
        self.due = -own
        return before + own

    def _own(self) -> Tensor:
        """|diag R_e| of X = Q R_e (b, k)."""
        factors, _ = torch.geqrf(self.columns())
        return factors.diagonal(dim1=-2, dim2=-1).abs()

    def _orthonormal(self, product: Tensor) -> Tensor:
        """Go on with Householder reflectors, from J X on: |diag R| of this step (b, k)."""
        own = self._own()
        self.due = self.due + own.log()
        self.exact = GradedFrame(self.b, self.n, self.k, self.dtype, self.device)
        self.exact.turn = self.turn
        self.lower = None
        factor = self.exact.factor if self.narrow else self.exact.advance  # J X is as good as a J
        return factor(product) / own

    def _product(self, block: Block) -> Tensor:
        """J X (b, n, k), in the order of columns that the elimination works on."""
        if isinstance(block, MemoryBlock):
            return self._memory_product(block)
        if self.lower is None:
            return block[..., : self.k]
        own = block.gather(-1, self.places[:, None, :].expand_as(block))  # J Pᵀ
        product = self._empty()
        for first, last in self._panels():
            torch.bmm(
                own[..., first:], self.lower[:, first:, first:last], out=product[..., first:last]
            )
        return product

    def _memory_product(self, block: MemoryBlock) -> Tensor:
        """The same in turned coordinates, where rows of h have no ∂/∂c: [[A, 0], [C, diag d]] X."""
        half, before = self.n // 2, self.turn
        block, self.turn = turned(block)
        if self.lower is None or before is None:
            return block.dense()[..., : self.k]
        # X, turned back: each pair (h_i, c_i) of rows, which L has at two places
        cosine, sine = (part[..., None] for part in before)
        rows = self.places.argsort(-1)[..., None].expand(-1, -1, self.k)  # (b, n, k)
        h, c = self.lower.gather(1, rows[:, :half]), self.lower.gather(1, rows[:, half:])
        hidden, memory = cosine * h + sine * c, cosine * c - sine * h
        product = self._empty()
        torch.bmm(torch.cat([block.A, block.C], 1), hidden, out=product)
        product[:, half:].addcmul_(block.d[..., None], memory)
        return product

    def _empty(self) -> Tensor:
        assert self.lower is not None
        return self.lower.new_empty(self.b, self.k, self.n).mT

    def _panels(self) -> list[tuple[int, int]]:
        width = -(-self.k // PANELS)
        return [(first, min(first + width, self.k)) for first in range(0, self.k, width)]


def _places(pivots: Tensor, n: int) -> Tensor:
    """The order (b, n) that LAPACK's row exchanges (b, k), counted from 1, leave the rows in."""
    found = []
    for exchanges in pivots.tolist():
        order = list(range(n))
        for index, other in enumerate(exchanges):
            order[index], order[other - 1] = order[other - 1], order[index]
        found.append(order)
    return torch.tensor(found)
