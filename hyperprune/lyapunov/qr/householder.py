"""Frames kept as Householder reflectors: Q is never formed."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.lyapunov.qr.frame import Frame
from hyperprune.lyapunov.tangent import Block, MemoryBlock


class HouseholderFrame(Frame):
    """The frame as Householder reflectors; Q is not formed (10/3 n³ flops a step, not 14/3)."""

    reflectors: tuple[Tensor, Tensor] | None = None
    rows: Tensor | None = None
    """Sizes of the product's rows (b, k), where they come largest first."""

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
        return self.without_noise(self.reflectors[0][..., : self.k, :], self.rows)
