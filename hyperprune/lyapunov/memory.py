"""Elimination for a layer that carries a memory: state (h, c), of whose derivative half is diagonal.

In the coordinates e = h − slope ⊙ c and c (nothing cancels in them), a step takes X to

    M = K (X_e + slope X_c) + N,    K = [D; C] (2H × H),    N = [0; d ⊙ X_c],

with the slope of the step before: `MemoryBlock` has the parts. Elimination of the first H columns with row
pivots has multipliers V, and the rest of M, less what they explain, is

    (K_b − V K_t) (X_e + slope X_c) + (N_b − V N_t),    t the rows of pivots, b the others.

So the other columns of M are never formed: K has H columns, and where X is triangular so is what is
left of the product. That is 31/3 H³ flops a step, where product and elimination of M take 40/3 H³, in
larger pieces. Pivots and factors are those of M.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.lyapunov import blas
from hyperprune.lyapunov.elimination import SAFE, Factors
from hyperprune.lyapunov.tangent import Block, MemoryBlock


class MemoryFactors(Factors):
    """Factors of memory blocks (b, 2H, 2H); more than H columns."""

    spare: Tensor | None = None
    X: Tensor | None = None  # by columns (b, k, n), rows (e, c)
    ends: Tensor  # (b, n): the column in which each row of X ends, with a one
    slope: Tensor  # (b, H)

    def columns(self) -> Tensor:
        """X (b, n, k)."""
        if self.X is None:
            return torch.eye(self.n, self.k, dtype=torch.float64).repeat(self.b, 1, 1)
        e, c = self.X.chunk(2, -1)
        return torch.cat([torch.addcmul(e, self.slope[:, None], c), c], -1).mT

    def step(self, block: Block) -> Tensor | None:
        """Push X through a block: |diag U| (b, k), or None, and nothing changed, near the floor."""
        assert isinstance(block, MemoryBlock)
        if self.X is None:
            self.X = torch.eye(self.k, self.n, dtype=torch.float64).repeat(self.b, 1, 1)
            self.ends, self.slope = torch.arange(self.n).repeat(self.b, 1), 0 * block.slope
        into = torch.empty_like(self.X) if self.spare is None else self.spare
        parts = block.D, block.C, block.d, self.X, self.ends, self.slope, into
        each = zip(*(part.unbind(0) for part in parts), strict=True)
        diagonals, ends = zip(*(eliminate(*own) for own in each), strict=True)
        diagonal = torch.stack(diagonals)
        if bool((diagonal < SAFE).any()):
            return None
        self.X, self.spare = into, self.X
        self.ends, self.slope = torch.stack(ends), block.slope
        return diagonal

    def release(self) -> None:
        """Give back the memory that a step needs beside the factors."""
        self.spare = None


def eliminate(
    D: Tensor, C: Tensor, d: Tensor, X: Tensor, ends: Tensor, slope: Tensor, into: Tensor
) -> tuple[Tensor, Tensor]:
    """Factor M = X' U of one sequence: |diag U| (k,), and where the rows of X' end (n,).

    D and C (H, H) and d (H,) are the block's; X (k, n), by columns, ends (n,) and slope (H,) the frame's;
    X' goes to `into` (k, n).
    """
    H, k = len(d), len(X)
    n = 2 * H
    order = torch.arange(n)  # row i of what follows is row order[i] of M
    X_c = X[:, H:]
    X_h = torch.addcmul(X[:, :H], slope, X_c)  # (k, H)

    M = torch.empty(H, n, dtype=X.dtype)  # its first H columns
    blas.gemm(1.0, D.mT, X_h[:H], 0.0, M[:, :H])
    torch.mul(X_c[:H], d, out=M[:, H:])
    blas.gemm(1.0, C.mT, X_h[:H], 1.0, M[:, H:])
    first = _factor(M, order)
    into[:H].scatter_(-1, order.expand(H, n), M)
    V = M[:, H:]  # (H, H)
    blas.trsm(V, M)

    # The last entries of X_h's rows are in different columns: sorted by them, its end is a triangle.
    sort = torch.maximum(ends[:H], ends[H:]).argsort()
    K = torch.cat([D.mT[sort], C.mT[sort]], -1).gather(-1, order.expand(H, n))
    M = K[:, H:]  # (H, H)
    blas.gemm(-1.0, V, K[:, :H], 1.0, M)
    M = _product(M, X_h[H:].gather(-1, sort.expand(k - H, H)))  # (k - H, H)
    (far,) = (ends[H:] >= H).nonzero(as_tuple=True)  # rows of N that reach into these columns
    if len(far):
        at = order.argsort()[H + far]
        own = torch.cat([V.neg_(), torch.eye(H, dtype=X.dtype)])[at]  # (far, H)
        blas.gemm(1.0, own, X_c[H:].index_select(1, far) * d[far], 1.0, M)
    rest = order[H:]
    second = _factor(M, rest)
    into[H:].zero_().scatter_(-1, rest.expand(k - H, H), M)
    return torch.cat([first, second]), order.argsort()


def _product(K: Tensor, X: Tensor) -> Tensor:
    """K X (H, k) of K (H, H) and X (H, k) lower triangular, by columns; K is lost."""
    if len(X) == len(K):
        blas.trmm(K, X, unit=False)
        return K
    product = torch.empty_like(X)
    blas.gemm(1.0, K, X, 0.0, product)
    return product


def _factor(M: Tensor, order: Tensor) -> Tensor:
    """Reduce a panel (m, n), by columns, to its L, and exchange `order` as its rows: |diag U| (m,)."""
    pivots = torch.empty(len(M), dtype=blas.INTEGER)
    blas.getrf(M, pivots)
    blas.laswp_order(order, pivots)
    square = M[:, : len(M)]
    diagonal = square.diagonal().abs()
    square.triu_(1).diagonal().fill_(1)
    return diagonal
