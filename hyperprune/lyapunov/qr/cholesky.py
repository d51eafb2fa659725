"""Frames as explicit columns, factored by CholeskyQR2: nothing but matrix products, for GPUs."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.lyapunov.qr.frame import Frame
from hyperprune.lyapunov.tangent import Block


class CholeskyFrame(Frame):
    """The frame as explicit columns by CholeskyQR2: all matrix products, which a GPU does best.

    Sequences whose product is too ill conditioned for it go through Householder QR.
    """

    Q: Tensor | None = None
    fallbacks = 0
    """Factorisations that went through Householder QR."""

    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k)."""
        return self.start() if self.Q is None else self.Q

    def advance(self, block: Block) -> Tensor:
        """Multiply and factor."""
        return self.factor(block @ self.columns())

    def factor(self, product: Tensor) -> Tensor:
        """CholeskyQR2 where it is safe, Householder QR elsewhere."""
        Q, R, safe = cholesky_qr2(product)
        if not bool(safe.all()):
            bad = ~safe
            self.fallbacks += int(bad.sum())
            Q[bad], R[bad] = torch.linalg.qr(product[bad])
        self.Q = Q
        return self.without_noise(R)


def cholesky_qr2(Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q, R and where they are safe (b,): two rounds of Y = Q R with R the Cholesky factor of YᵀY.

    Squaring the condition number costs digits, which the second round restores as long as the
    first round's columns are orthogonal to 0.1 (Yamamoto et al. 2015); safe says where they are.
    """
    L, failed = torch.linalg.cholesky_ex(Y.mT @ Y)
    Q = torch.linalg.solve_triangular(L.mT, Y, upper=True, left=False)
    gram = Q.mT @ Q
    error = torch.linalg.matrix_norm(
        gram - torch.eye(gram.shape[-1], dtype=Y.dtype, device=Y.device)
    )
    L2, failed2 = torch.linalg.cholesky_ex(gram)
    Q = torch.linalg.solve_triangular(L2.mT, Q, upper=True, left=False)
    return Q, L2.mT @ L.mT, (failed == 0) & (failed2 == 0) & (error < 0.1)
