"""The leading directions as triangular factors of row-pivoted elimination, the fastest on a CPU.

With P_t J_t X_{t−1} = L_t U_t and X_t = P_tᵀ L_t, the product of all Jacobians is X_T U_T … U_1, and
with X_T = Q R_e its R is R_e U_T … U_1. So the logs of U's diagonals add up to those of R's (Benettin
et al. 1980) once those of R_e are added, which takes one QR where a sum is wanted, not one a step.
Nothing is approximated: X_t spans what Q_t spans, and pivoting keeps it well conditioned (entries of
L are at most 1 in size), so each step has the digits that QR at each step has.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg.lapack import dlaswp
from torch import Tensor

from hyperprune.lyapunov.frame import Frame, GradedFrame, Turned
from hyperprune.lyapunov.tangent import Block, MemoryBlock

PANELS = 4
"""Rows of L are multiplied in this many pieces, each without the zeros beside it (measured)."""

SAFE = 1e-10
"""A pivot below this is near the floor, where U's diagonal cannot stand for R's: Householder can."""


class PivotedFrame(Frame):
    """The frame as a unit lower factor and where its rows belong; X = Pᵀ L.

    A step costs 2/3 n³ flops of elimination and n³ (1 + 1/PANELS) of products with L. From the
    first pivot near the floor on, the group goes through Householder QR. All is kept transposed, as
    LAPACK wants it: rows of L are columns here.
    """

    lower: Tensor | None = None  # Lᵀ (b, k, n)
    spare: Tensor | None = None  # memory for the next one, given back when settled
    places: Tensor  # (b, n): row i of L is row places[i] of X
    turn: Turned | None = None
    exact: GradedFrame | None = None
    due: Tensor | float = 0.0
    """What the factors split off since the last settlement lack, but for the frame as it is now."""

    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k), not orthonormal before it went to Householder."""
        if self.exact is not None:
            return self.exact.columns()
        if self.lower is None:
            return self.start()
        index = self.places[:, None].expand_as(self.lower)
        return torch.empty_like(self.lower).scatter_(-1, index, self.lower).mT

    def advance(self, block: Block) -> Tensor:
        """Push the frame through J (b, n, n): the diagonal of the factor split off, (b, k)."""
        if self.exact is not None:
            return self.exact.advance(block)
        if self.narrow:
            return self.factor(block @ self.columns())
        matrix = Turned.of(block) if isinstance(block, MemoryBlock) else block
        turn = matrix if isinstance(matrix, Turned) else None
        diagonal = self._eliminate(self._product(matrix))
        if diagonal is None:
            diagonal = self._orthonormal(self._product(matrix).mT, turn)
        self.turn = turn
        return diagonal

    def factor(self, product: Tensor) -> Tensor:
        """Keep the unit lower factor of J X (b, n, k): |diag U| (b, k)."""
        if self.exact is not None:
            return self.exact.factor(product)
        diagonal = self._eliminate(product.mT.clone(memory_format=torch.contiguous_format))
        return self._orthonormal(product, None) if diagonal is None else diagonal

    def settle(self) -> Tensor | float:
        """Logs (b, k) that turn the sum over factors since the last call into that over QR's R."""
        self.spare, before = None, self.due
        if self.exact is not None:
            self.due = 0.0
            return before
        own = self._own().log()
        self.due = -own
        return before + own

    def _eliminate(self, product: Tensor) -> Tensor | None:
        """Overwrite (J X)ᵀ (b, k, n) with its factors and keep them: |diag U|, or None near the floor."""
        out = product.mT, torch.empty(0, dtype=torch.int32), torch.empty(0, dtype=torch.int32)
        _, pivots, _ = torch.linalg.lu_factor_ex(out[0], out=out)
        diagonal: Tensor = product.diagonal(dim1=-2, dim2=-1).abs()
        if bool((diagonal < SAFE).any()):
            return None
        product.triu_(1).diagonal(dim1=-2, dim2=-1).fill_(1)
        self.lower, self.spare = product, self.lower
        self.places = _places(pivots, self.n)
        return diagonal

    def _orthonormal(self, product: Tensor, turn: Turned | None) -> Tensor:
        """Go on with Householder reflectors, from J X on: |diag R| of this step (b, k)."""
        own = self._own()
        self.due = self.due + own.log()
        self.exact = GradedFrame(self.b, self.n, self.k, self.dtype, self.device)
        self.exact.turn = turn
        factor = self.exact.factor if self.narrow else self.exact.advance  # J X is as good as a J
        diagonal = factor(product) / own
        self.lower = self.spare = None
        return diagonal

    def _own(self) -> Tensor:
        """|diag R_e| of X = Q R_e (b, k)."""
        if self.lower is None:
            return torch.ones(self.b, self.k, dtype=self.dtype, device=self.device)
        columns = self.columns()
        torch.geqrf(columns, out=(columns, columns.new_empty(self.b, self.k)))
        return columns.diagonal(dim1=-2, dim2=-1).abs()

    def _product(self, matrix: Tensor | Turned) -> Tensor:
        """(J X)ᵀ (b, k, n), a turned block's in its own coordinates."""
        if self.spare is None:
            self.spare = torch.empty(self.b, self.k, self.n, dtype=self.dtype, device=self.device)
        if self.lower is None:
            whole = matrix.dense() if isinstance(matrix, Turned) else matrix
            return self.spare.copy_(whole[..., : self.k].mT)
        if isinstance(matrix, Turned):
            return self._turned_product(matrix, self.lower, self.spare)
        width = -(-self.k // PANELS)
        # Backwards: the last rows of L alone reach all columns.
        for first in reversed(range(0, self.k, width)):
            last = first + width if first + width < self.k else self.n
            places = self.places[:, None, first:last].expand(-1, self.n, -1)
            own, lower = matrix.gather(-1, places), self.lower[:, :last, first:last]
            into = self.spare[:, :last]
            torch.baddbmm(into, lower, own.mT, beta=float(last < self.n), out=into)
        return self.spare

    def _turned_product(self, matrix: Turned, lower: Tensor, product: Tensor) -> Tensor:
        """The same for [[upper, 0], [lower, diagonal]], with X turned back by the last step's angles."""
        assert self.turn is not None
        half = self.n // 2
        # Each pair (h_i, c_i) of X's rows is at two places in L.
        rows = self.places.argsort(-1)[:, None].expand(-1, self.k, -1)  # (b, k, n)
        h, c = lower.gather(-1, rows[..., :half]), lower.gather(-1, rows[..., half:])
        cosine, sine = self.turn.cosine[:, None], self.turn.sine[:, None]
        hidden = (cosine * h).addcmul_(sine, c)
        memory = (cosine * c).addcmul_(sine, h, value=-1)
        left, right = product[..., :half], product[..., half:]
        torch.bmm(hidden, matrix.upper.mT, out=left)
        torch.bmm(hidden, matrix.lower.mT, out=right)
        right.addcmul_(matrix.diagonal[:, None], memory)
        return product


def _places(pivots: Tensor, n: int) -> Tensor:
    """The order (b, n) that LAPACK's row exchanges (b, k), counted from 1, leave the rows in."""
    orders = np.tile(np.arange(n, dtype=np.float64), (len(pivots), 1))
    for order, exchanges in zip(orders, pivots.numpy() - 1, strict=True):
        dlaswp(order[:, None], exchanges, overwrite_a=True)
    return torch.from_numpy(orders.astype(np.int64))
