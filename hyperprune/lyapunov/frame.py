"""Orthonormal frames pushed through matrices: Q_t R_t = qr(J_t Q_{t−1}). Knows only matrices.

Benettin et al. 1980. Signs are free: |R_ii| does not change when a column of Q changes its sign.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperprune.lyapunov.tangent import Block, MemoryBlock

NARROW = 0.75
"""Below this share of columns, forming Q and multiplying is cheaper than n reflectors (measured)."""


class Frame(ABC):
    """k leading directions in n dimensions for each of b sequences, at first the identity's columns.

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


class HouseholderFrame(Frame):
    """The frame as Householder reflectors; Q is not formed (10/3 n³ flops a step, not 14/3)."""

    reflectors: tuple[Tensor, Tensor] | None = None

    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k)."""
        if self.reflectors is None:
            return self.start()
        columns: Tensor = torch.linalg.householder_product(*self.reflectors)
        return columns

    def advance(self, block: Block) -> Tensor:
        """Apply the reflectors to J from the right, or multiply where few columns are followed."""
        if self.narrow:
            return self.factor(block @ self.columns())
        product = block.dense() if isinstance(block, MemoryBlock) else block
        if self.reflectors is not None:
            product = torch.ormqr(*self.reflectors, product, left=False)
        return self.factor(product[..., : self.k])

    def factor(self, product: Tensor) -> Tensor:
        """Householder QR, keeping the reflectors, in the same memory at every step."""
        if self.reflectors is None:
            b, n, k = product.shape
            self.reflectors = product.new_empty(b, k, n).mT, product.new_empty(b, min(n, k))
        torch.geqrf(product, out=self.reflectors)
        return self.reflectors[0].diagonal(dim1=-2, dim2=-1).abs()


@dataclass(frozen=True)
class Turned:
    """A memory block with each pair of rows (h_i, c_i) rotated until h_i has no ∂/∂c.

    [[upper, 0], [lower, diag(diagonal)]]: (B, H, H), (B, H, H) and (B, H), by the angles whose cosines
    and sines (B, H) are given.
    """

    upper: Tensor
    lower: Tensor
    diagonal: Tensor
    cosine: Tensor
    sine: Tensor

    @classmethod
    def of(cls, block: MemoryBlock) -> Turned:
        """Rotate by the angle of slope: what both rows have of ∂c' cancels without a rounding error."""
        length = torch.hypot(block.slope, torch.ones_like(block.slope))
        cosine, sine = 1 / length, block.slope / length
        return cls(
            cosine[..., None] * block.D,
            (length[..., None] * block.C).addcmul_(sine[..., None], block.D),
            length * block.d,
            cosine,
            sine,
        )

    def dense(self) -> Tensor:
        """The same as one tensor (B, 2H, 2H)."""
        upper = torch.cat([self.upper, torch.zeros_like(self.upper)], -1)
        return torch.cat([upper, torch.cat([self.lower, torch.diag_embed(self.diagonal)], -1)], -2)


class GradedFrame(HouseholderFrame):
    """Reflectors in coordinates that let small rows keep their digits: float32 needs that.

    Coordinates are free: P_t J_t P_{t−1}ᵀ with P orthogonal has the R of J_t. Householder QR rounds
    each row relative to itself where rows come largest first (Cox & Higham 1998), so P_t sorts them;
    a memory block is turned first. On trained networks this takes the error of the most contracting
    exponents in float32 from 1e-2 to 1e-4, in float64 from 1e-9 to 1e-12.
    """

    turn: Turned | None = None
    order: Tensor | None = None

    def advance(self, block: Block) -> Tensor:
        """Change the coordinates of rows and columns, then push all reflectors through."""
        if self.narrow:
            return super().advance(block.to(self.dtype))
        if isinstance(block, MemoryBlock):
            turn = Turned.of(block)
            J = turned_columns(turn.dense().to(self.dtype), self.turn)
            self.turn = turn
        else:
            J = block.to(self.dtype)
        if self.order is not None:
            J = J.gather(-1, self.order[:, None, :].expand_as(J))
        self.order = J.norm(dim=-1).argsort(dim=-1, descending=True, stable=True)  # (b, n)
        return super().advance(J.gather(-2, self.order[..., None].expand_as(J)))


def turned_columns(J: Tensor, turn: Turned | None) -> Tensor:
    """Undo on the columns of J what the step before did to its rows."""
    if turn is None:
        return J
    c, s = (part.to(J.dtype)[:, None, :] for part in (turn.cosine, turn.sine))
    left, right = J.chunk(2, -1)
    return torch.cat([c * left - s * right, s * left + c * right], -1)


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
        return R.diagonal(dim1=-2, dim2=-1).abs()


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
