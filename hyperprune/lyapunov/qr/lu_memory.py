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

import numpy as np
import torch
from torch import Tensor

from hyperprune.lyapunov.qr import blas
from hyperprune.lyapunov.qr.lu_dense import Factors
from hyperprune.lyapunov.tangent import Block, MemoryBlock

HALVED = 224
"""From this n on M's columns are eliminated in two halves (measured)."""


class Workspace:
    """Memory for a step of one sequence: fresh memory would cost more than what is done with it."""

    def __init__(self, H: int, k: int) -> None:
        def room(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=torch.float64)

        self.M, self.K, self.rows = room(H, 2 * H), room(H, 2 * H), room(H, 2 * H)
        self.X_h, self.end = room(k, H), room(k - H, H)
        self.start, self.eye = torch.arange(2 * H), torch.eye(H, dtype=torch.float64)


class Columns(NamedTuple):
    """X by columns, in the coordinates (e, c)."""

    X: Tensor  # (b, k, n)
    ends: Tensor  # (b, n): the column in which each row ends, with a one
    slope: Tensor  # (b, H)

    def of_state(self) -> Tensor:
        """X by columns in the coordinates (h, c), a copy."""
        e, c = self.X.chunk(2, -1)
        return torch.cat([torch.addcmul(e, self.slope[:, None], c), c], -1)


class MemoryFactors(Factors):
    """Factors of memory blocks (b, 2H, 2H)."""

    now: Columns | None = None
    before: Columns | None = None
    work: Workspace | None = None

    def step(self, block: Block) -> Tensor:
        """Push X through a block: |diag U| (b, k)."""
        assert isinstance(block, MemoryBlock)
        if self.now is None:
            ends = torch.arange(self.n).repeat(self.b, 1)
            start = torch.eye(self.k, self.n, dtype=torch.float64).repeat(self.b, 1, 1)
            self.now = Columns(start, ends, torch.zeros_like(block.slope))
        old = self.now
        into = torch.empty_like(old.X) if self.before is None else self.before.X
        if self.n < HALVED or 2 * self.k <= self.n:
            diagonal, ends = eliminate_whole(block, old, into)
        else:
            self.work = Workspace(self.n // 2, self.k) if self.work is None else self.work
            blocks = zip(block.D, block.C, block.slope, block.d, strict=True)
            each = zip(blocks, zip(*old, strict=True), into, strict=True)
            found = [
                eliminate(MemoryBlock(*one), Columns(*own), new, self.work)
                for one, own, new in each
            ]
            diagonal, ends = (torch.stack(parts) for parts in zip(*found, strict=True))
        self.now, self.before = Columns(into, ends, block.slope), old
        return diagonal

    def columns(self) -> Tensor:
        """X_t (b, n, k)."""
        assert self.now is not None
        return self.now.of_state().mT

    def unordered(self) -> Tensor:
        """X_t (b, n, k), memory of its own."""
        assert self.now is not None
        return self.now.of_state().mT

    def scale(self, rows: Tensor) -> Tensor:
        """The pivots' rows (b, k): columns are not all formed."""
        assert self.now is not None
        return rows.gather(-1, self.now.ends.argsort(-1)[:, : self.k])

    def release(self) -> None:
        """Give back the memory of X_{t−1}, and that to work in."""
        self.before = self.work = None


def eliminate_whole(block: MemoryBlock, old: Columns, into: Tensor) -> tuple[Tensor, Tensor]:
    """Factor M = X' U of all sequences: |diag U| (b, k) and where rows of X' end (b, n).

    X' goes to `into` (b, k, n). For small blocks, where calls cost more than what they do, and few columns.
    """
    X_e, X_c = old.X.chunk(2, -1)
    X_h = torch.addcmul(X_e, old.slope[:, None], X_c)  # (b, k, H)
    below = torch.baddbmm(X_c * block.d[:, None], X_h, block.C.mT)
    M = torch.cat([X_h @ block.D.mT, below], -1)  # (b, k, n)
    order = torch.arange(M.shape[-1]).repeat(len(M), 1)
    pivots = torch.empty(M.shape[1], dtype=blas.INTEGER)
    for one, own in zip(M.unbind(0), order.unbind(0), strict=True):
        blas.getrf(one, pivots)
        blas.laswp_order(own, pivots)
    diagonal = M.diagonal(dim1=-2, dim2=-1).abs()
    M.triu_(1).diagonal(dim1=-2, dim2=-1).fill_(1)
    into.scatter_(-1, order[:, None].expand_as(M), M)
    return diagonal, order.argsort()


def eliminate(
    block: MemoryBlock, old: Columns, into: Tensor, work: Workspace
) -> tuple[Tensor, Tensor]:
    """The same for one sequence (nothing has the dimension b), in halves."""
    D, C, d = block.D, block.C, block.d
    X, ends, slope = old
    H, k = len(d), len(X)
    n = 2 * H
    order = work.start.clone()  # row i of what follows is row order[i] of M
    X_c = X[:, H:]
    X_h = torch.addcmul(X[:, :H], slope, X_c, out=work.X_h)  # (k, H)

    K = torch.cat([D.mT, C.mT], -1, out=work.K)  # (H, n)
    M = work.M  # its first H columns
    blas.gemm(1.0, K, X_h[:H], 0.0, M)
    M[:, H:].addcmul_(X_c[:H], d)
    first = _factor(M, order)
    into[:H].scatter_(-1, order.expand(H, n), M)
    V = M[:, H:]  # (H, H)
    blas.trsm(V, M)

    K = torch.gather(K, -1, order.expand(H, n), out=work.rows)
    blas.gemm(-1.0, V, K[:, :H], 1.0, K[:, H:])
    # The last entries of X_h's rows are in different columns: sorted by them, its end is a triangle.
    last = np.maximum(ends[:H].numpy(), ends[H:].numpy())
    sort = torch.from_numpy(last.argsort())
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
    return torch.cat([first, second]), torch.empty_like(order).scatter_(0, order, work.start)


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
