"""Orthonormal frames pushed through matrices: Q_t R_t = qr(J_t Q_{t−1}). Knows only matrices.

Benettin et al. 1980. Signs are free: |R_ii| does not change when a column of Q changes its sign.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hyperprune.lyapunov.tangent import Block

FLOORS = {torch.float64: 1e-12, torch.float32: 1e-5}
"""A column reduced to less than this share of its length before is rounding noise."""
SAFE = 100.0
"""Entries below SAFE · floor · (largest of the diagonal) may be noise, so their columns are checked."""
NARROW = 0.75
"""Below this share of columns, forming Q and multiplying is cheaper than n reflectors (measured)."""


class Frame(ABC):
    """k leading directions in n dimensions for each of b sequences, at first columns of the identity.

    Orthonormal columns, unless `settle` makes up for what they lack.
    """

    def __init__(self, b: int, n: int, k: int, dtype: torch.dtype, device: torch.device) -> None:
        self.b, self.n, self.k = b, n, k
        self.dtype, self.device = dtype, device
        self.narrow = k < NARROW * n
        self.floor = FLOORS[dtype]

    def start(self) -> Tensor:
        """The identity's columns (b, n, k), made when asked for: no memory is held for them."""
        eye = torch.eye(self.n, self.k, dtype=self.dtype, device=self.device)
        return eye.expand(self.b, -1, -1)

    @abstractmethod
    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k)."""

    @abstractmethod
    def advance(self, block: Block) -> Tensor:
        """Push the frame through J (b, n, n): |diag R| (b, k) of the factor split off, noise as 0."""

    @abstractmethod
    def factor(self, product: Tensor) -> Tensor:
        """Keep the columns' factor of J Q (b, n, k): |diag R| (b, k) of the other, noise as 0."""

    def without_noise(self, R: Tensor, rows: Tensor | None = None) -> Tensor:
        """|diag R| (b, k) of R (b, k, k), 0 where it is noise beside its column and its row.

        rows (b, k): sizes of the rows of the product, where small ones keep their own digits.
        """
        diagonal = R.diagonal(dim1=-2, dim2=-1).abs()
        if not suspicious(diagonal, self.floor):
            return diagonal
        scale = R.triu().abs().amax(-2)
        scale = scale if rows is None else torch.minimum(scale, rows)
        return torch.where(diagonal <= self.floor * scale, 0.0, diagonal)

    def settle(self) -> Tensor | float:
        """Logs (b, k) that turn the sum over factors since the last call into that over QR's R."""
        return 0.0


def suspicious(diagonal: Tensor, floor: float) -> bool:
    """Whether any entry (b, k) is so much smaller than the largest that it may be noise."""
    return bool((diagonal <= SAFE * floor * diagonal.amax(-1, keepdim=True)).any())
