"""Orthonormal frames pushed through matrices: Q_t R_t = qr(J_t Q_{t−1}). Knows only matrices.

Benettin et al. 1980. Signs are free: |R_ii| does not change when a column of Q changes its sign.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hyperprune.lyapunov.tangent import Block

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

    def start(self) -> Tensor:
        """The identity's columns (b, n, k), made when asked for: no memory is held for them."""
        eye = torch.eye(self.n, self.k, dtype=self.dtype, device=self.device)
        return eye.expand(self.b, -1, -1)

    @abstractmethod
    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k)."""

    @abstractmethod
    def advance(self, block: Block) -> Tensor:
        """Push the frame through J (b, n, n): |diag R| (b, k) of the factor split off."""

    @abstractmethod
    def factor(self, product: Tensor) -> Tensor:
        """Keep the columns' factor of J Q (b, n, k): |diag R| (b, k) of the other."""

    def settle(self) -> Tensor | float:
        """Logs (b, k) that turn the sum over factors since the last call into that over QR's R."""
        return 0.0
