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

from typing import NamedTuple

import torch
from torch import Tensor

from hyperprune.lyapunov import blas
from hyperprune.lyapunov.elimination import Factors
from hyperprune.lyapunov.tangent import Block, MemoryBlock


class Workspace:
    """Memory for a step of one sequence: fresh memory would cost more than what is done with it."""

    def __init__(self, H: int, k: int) -> None:
        def room(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=torch.float64)

        self.M, self.K, self.rows = room(H, 2 * H), room(H, 2 * H), room(H, 2 * H)
        self.X_h, self.end = room(k, H), room(k - H, H)
        self.start, self.eye = torch.arange(2 * H), torch.eye(H, dtype=torch.float64)


class Columns(NamedTuple):
    """X of one sequence, by columns, in the coordinates (e, c)."""

    X: Tensor  # (k, n)
    ends: Tensor  # (n,): the column in which each row ends, with a one
    slope: Tensor  # (H,)

    def of_state(self) -> Tensor:
        """X by columns in the coordinates (h, c), a copy."""
        e, c = self.X.chunk(2, -1)
        return torch.cat([torch.addcmul(e, self.slope, c), c], -1)


class MemoryFactors(Factors):
    """Factors of memory blocks (b, 2H, 2H); more than H columns."""

    now: list[Columns] | None = None
    before: list[Columns] | None = None
    work: Workspace | None = None

    def step(self, block: Block) -> Tensor:
        """Push X through a block: |diag U| (b, k)."""
        assert isinstance(block, MemoryBlock)
        if self.now is None:
            ends, slope = torch.arange(self.n), torch.zeros_like(block.slope[0])
            self.now = [Columns(X, ends, slope) for X in self.start()]
        if self.work is None:
            self.work = Workspace(self.n // 2, self.k)
        old, work = self.now, self.work
        rooms = list(torch.empty(self.b, self.k, self.n, dtype=torch.float64))
        if self.before is not None:
            rooms = [X for X, _, _ in self.before]
        blocks = zip(block.D, block.C, block.slope, block.d, strict=True)
        each = zip(blocks, old, rooms, strict=True)
        found = [eliminate(MemoryBlock(*one), own, into, work) for one, own, into in each]
        self.now, self.before = [new for _, new in found], old
        return torch.stack([diagonal for diagonal, _ in found])

    def columns(self) -> Tensor:
        """X_t (b, n, k)."""
        columns = self.unordered(before=False)
        return self.start().mT if columns is None else columns

    def unordered(self, *, before: bool) -> Tensor | None:
        """X_t or X_{t−1} (b, n, k), memory of its own."""
        own = self.before if before else self.now
        return None if own is None else torch.stack([each.of_state() for each in own]).mT

    def release(self) -> None:
        """Give back the memory of X_{t−1}, and that to work in."""
        self.before = self.work = None


def eliminate(
    block: MemoryBlock, old: Columns, into: Tensor, work: Workspace
) -> tuple[Tensor, Columns]:
    """Factor M = X' U of one sequence's block: |diag U| (k,) and X', which goes to `into` (k, n)."""
    D, C, d = block.D, block.C, block.d
    X, ends, slope = old
    H, k = len(d), len(X)
    n = 2 * H
    order = work.start.clone()  # row i of what follows is row order[i] of M
    X_c = X[:, H:]
    X_h = torch.addcmul(X[:, :H], slope, X_c, out=work.X_h)  # (k, H)

    K = torch.cat([D.mT, C.mT], -1, out=work.K)  # (H, n)
    M = work.M  # its first H columns
    M[:, :H] = 0
    torch.mul(X_c[:H], d, out=M[:, H:])
    blas.gemm(1.0, K, X_h[:H], 1.0, M)
    first = _factor(M, order)
    into[:H].scatter_(-1, order.expand(H, n), M)
    V = M[:, H:]  # (H, H)
    blas.trsm(V, M)

    K = torch.gather(K, -1, order.expand(H, n), out=work.rows)
    blas.gemm(-1.0, V, K[:, :H], 1.0, K[:, H:])
    # The last entries of X_h's rows are in different columns: sorted by them, its end is a triangle.
    sort = torch.maximum(ends[:H], ends[H:]).argsort()
    end = torch.gather(X_h[H:], -1, sort.expand(k - H, H), out=work.end)
    M = _product(K[:, H:].index_select(0, sort), end)  # (k - H, H)
    (far,) = (ends[H:] >= H).nonzero(as_tuple=True)  # rows of N that reach into these columns
    if len(far):
        at = order.argsort()[H + far]
        own = torch.cat([V.neg_(), work.eye])[at]  # (far, H)
        blas.gemm(1.0, own, X_c[H:].index_select(1, far) * d[far], 1.0, M)
    rest = order[H:]
    second = _factor(M, rest)
    into[H:].zero_().scatter_(-1, rest.expand(k - H, H), M)
    return torch.cat([first, second]), Columns(into, order.argsort(), block.slope)


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
