"""Triangular factors of row-pivoted elimination, step by step: P_t J_t X_{t−1} = L_t U_t, X_t = P_tᵀ L_t.

Matrices are kept by columns, as LAPACK wants them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from hyperprune.lyapunov import blas
from hyperprune.lyapunov.tangent import Block

SAFE = 1e-10
"""A pivot below this is near the floor, where U's diagonal cannot stand for R's."""


class Factors(ABC):
    """k columns X_t in n dimensions for each of b sequences: well conditioned, not orthonormal."""

    def __init__(self, b: int, n: int, k: int) -> None:
        self.b, self.n, self.k = b, n, k

    @abstractmethod
    def columns(self) -> Tensor:
        """X (b, n, k)."""

    def independent(self) -> Tensor:
        """X (b, n, k) with its rows in any order, memory of its own."""
        return self.columns()

    @abstractmethod
    def step(self, block: Block) -> Tensor | None:
        """Push X through a block: |diag U| (b, k), or None, and nothing changed, near the floor."""

    @abstractmethod
    def release(self) -> None:
        """Give back the memory that a step needs beside the factors."""

    def own(self) -> Tensor:
        """|diag R_e| of X = Q R_e (b, k)."""
        columns = self.independent()
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

    def factor(self) -> Tensor | None:
        """Reduce the products that are in `lower` to factors: |diag U| (b, k), or None near the floor."""
        for product, order, (_, places) in zip(self.factors, self.orders, self.arrays, strict=True):
            places[:] = self.start
            blas.getrf(product, self.pivots)
            blas.laswp_order(order, self.pivots)
        diagonal = abs(self.lower.numpy().diagonal(0, -2, -1))
        return None if (diagonal < SAFE).any() else torch.from_numpy(diagonal)


class DenseFactors(Factors):
    """Factors of dense blocks (b, n, n): n³ flops a step of product with L, 2/3 n³ of elimination."""

    now: Triangles | None = None
    spare: Triangles | None = None

    def columns(self) -> Tensor:
        """X (b, n, k)."""
        rows = self.independent().mT
        if self.now is None:
            return rows.mT
        index = self.now.places[:, None].expand_as(rows)
        return torch.empty_like(rows).scatter_(-1, index, rows).mT

    def independent(self) -> Tensor:
        """X (b, n, k) with its rows in any order, memory of its own: L."""
        if self.now is None:
            return torch.eye(self.k, self.n, dtype=torch.float64).repeat(self.b, 1, 1).mT
        rows = self.now.lower.triu(1)
        rows.diagonal(dim1=-2, dim2=-1).fill_(1)
        return rows.mT

    def step(self, block: Block) -> Tensor | None:
        """Push X through a block: |diag U| (b, k), or None, and nothing changed, near the floor."""
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
        return self._factor(new)

    def factor(self, product: Tensor) -> Tensor | None:
        """The same from a product J X (b, n, k)."""
        new = self._room()
        new.lower.copy_(product.mT)
        return self._factor(new)

    def release(self) -> None:
        """Give back the memory that a step needs beside the factors."""
        self.spare = None

    def _room(self) -> Triangles:
        return Triangles(self.b, self.n, self.k) if self.spare is None else self.spare

    def _factor(self, new: Triangles) -> Tensor | None:
        diagonal = new.factor()
        if diagonal is None:
            self.spare = new
        else:
            self.now, self.spare = new, self.now
        return diagonal
