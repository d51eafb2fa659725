"""Triangular factors of row-pivoted elimination, step by step: P_t J_t X_{t−1} = L_t U_t, X_t = P_tᵀ L_t.

Matrices are kept by columns, as LAPACK wants them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from hyperprune.lyapunov.qr import blas
from hyperprune.lyapunov.tangent import Block


class Factors(ABC):
    """k columns X_t in n dimensions for each of b sequences: well conditioned, not orthonormal.

    X_0 is the identity's columns. X_{t−1} is kept beside X_t, in memory that the next step takes.
    """

    def __init__(self, b: int, n: int, k: int) -> None:
        self.b, self.n, self.k = b, n, k

    @abstractmethod
    def step(self, block: Block) -> Tensor:
        """Push X through a block: |diag U| (b, k)."""

    @abstractmethod
    def columns(self) -> Tensor:
        """X_t (b, n, k), after a step."""

    @abstractmethod
    def unordered(self) -> Tensor:
        """X_t (b, n, k), rows in any order, memory of its own."""

    @abstractmethod
    def scale(self, rows: Tensor) -> Tensor:
        """How large what the last step reduced to each pivot was (b, k), given J's rows' sizes (b, n).

        Pivoting keeps the digits of small rows, and small columns lose none.
        """

    @abstractmethod
    def release(self) -> None:
        """Give back the memory of X_{t−1}."""

    def own(self) -> Tensor:
        """|diag R_e| of X_t = Q R_e (b, k)."""
        columns = self.unordered()
        torch.geqrf(columns, out=(columns, columns.new_empty(self.b, self.k)))
        return columns.diagonal(dim1=-2, dim2=-1).abs()


class Triangles:
    """L by columns (b, k, n), with anything above its diagonal, and the rows of X that are its (b, n).

    Each sequence's as a tensor and as an array of the same memory: threads hand the interpreter's
    lock over at every operation of torch, and would wait for it longer than small ones take.
    """

    def __init__(self, b: int, n: int, k: int) -> None:
        self.lower, self.places = (
            torch.empty(b, k, n, dtype=torch.float64),
            torch.empty(b, n).long(),
        )
        self.factors, self.orders = list(self.lower), list(self.places)
        self.arrays = list(zip(self.lower.numpy(), self.places.numpy(), strict=True))
        self.pivots = torch.empty(k, dtype=blas.INTEGER)
        self.start = np.arange(n)

    def factor(self) -> Tensor:
        """Reduce the products that are in `lower` to factors: |diag U| (b, k)."""
        for product, order, (_, places) in zip(self.factors, self.orders, self.arrays, strict=True):
            places[:] = self.start
            blas.getrf(product, self.pivots)
            blas.laswp_order(order, self.pivots)
        return torch.from_numpy(abs(self.lower.numpy().diagonal(0, -2, -1)))

    def unit(self) -> Tensor:
        """L by columns with its ones and zeros, a copy."""
        rows = self.lower.triu(1)
        rows.diagonal(dim1=-2, dim2=-1).fill_(1)
        return rows


class DenseFactors(Factors):
    """Factors of dense blocks (b, n, n): n³ flops a step of product with L, 2/3 n³ of elimination."""

    now: Triangles | None = None
    before: Triangles | None = None

    def step(self, block: Block) -> Tensor:
        """Push X through a block: |diag U| (b, k)."""
        assert isinstance(block, Tensor)
        columns, new = block.mT.numpy(), self._room()
        if self.now is None:
            new.lower.numpy()[:] = columns[:, : self.k]
        else:
            old = zip(self.now.factors, self.now.arrays, strict=True)
            into = zip(new.factors, new.arrays, strict=True)
            for own, (L, (_, places)), (product, (array, _)) in zip(
                columns, old, into, strict=True
            ):
                np.take(own, places[: self.k], 0, array, "clip")
                blas.trmm(product, L)
                if self.k < self.n:
                    rest = torch.from_numpy(own[places[self.k :]])
                    blas.gemm(1.0, rest, L[:, self.k :], 1.0, product)
        self.now, self.before = new, self.now
        return new.factor()

    def factor(self, product: Tensor) -> Tensor:
        """The same from a product J X (b, n, k)."""
        new = self._room()
        new.lower.copy_(product.mT)
        self.now, self.before = new, self.now
        return new.factor()

    def columns(self) -> Tensor:
        """X_t (b, n, k)."""
        assert self.now is not None
        rows = self.now.unit()
        index = self.now.places[:, None].expand_as(rows)
        return torch.empty_like(rows).scatter_(-1, index, rows).mT

    def unordered(self) -> Tensor:
        """X_t (b, n, k), rows in any order, memory of its own."""
        assert self.now is not None
        return self.now.unit().mT

    def scale(self, rows: Tensor) -> Tensor:
        """The lesser of U's columns' largest entries and the pivots' rows (b, k)."""
        assert self.now is not None
        columns = self.now.lower.tril().abs().amax(-1)
        return torch.minimum(columns, rows.gather(-1, self.now.places[:, : self.k]))

    def release(self) -> None:
        """Give back the memory of X_{t−1}."""
        self.before = None

    def _room(self) -> Triangles:
        return Triangles(self.b, self.n, self.k) if self.before is None else self.before
