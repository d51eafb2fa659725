"""Derivatives of recurrences that are linear in their state: a size for every direction."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.lyapunov.tangent.contract import LayerTangent


class Scaled(LayerTangent):
    """J_t = diag(m_t), or with turns the same in planes: a gated linear recurrence, one complex or a matrix.

    `moduli` (T, B, n), not negative; `angles` (n/2): coordinates i and n/2 + i, real and imaginary part of
    one number, also turn by this angle, and their moduli are equal. A frame that starts at the identity is
    only ever turned within these planes, so R_t,ii = m_t,i exactly, and no factorisation is needed.
    """

    def __init__(self, layer: int, moduli: Tensor, angles: Tensor | None = None) -> None:
        self.layer, self.size = layer, moduli.shape[-1]
        self.moduli, self.angles = moduli, angles

    def block(self, t: int, rows: slice) -> Tensor:
        """The block as a matrix (b, n, n); the engine does not ask for it."""
        eye = torch.eye(self.size, dtype=self.moduli.dtype, device=self.moduli.device)
        return self.product(t, rows, eye.expand(len(self.moduli[t, rows]), -1, -1))

    def product(self, t: int, rows: slice, Q: Tensor) -> Tensor:
        """Turn and scale the rows of Q (b, n, k)."""
        if self.angles is not None:
            real, imaginary = Q.chunk(2, -2)
            cos, sin = self.angles.cos()[:, None], self.angles.sin()[:, None]
            Q = torch.cat([cos * real - sin * imaginary, sin * real + cos * imaginary], -2)
        return self.moduli[t, rows, :, None] * Q
