"""Norms over the last dimension."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / √(mean x² + ε) ⊙ w over the last dimension (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        """Scale every vector to one size."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class HeadNorm(nn.Module):
    """(x − mean x) / √(var x + ε) of each head by itself, ⊙ w: a group norm without an offset.

    Wu & He 2018 (arXiv 1803.08494), as Beck et al. 2024 (arXiv 2405.04517) have it behind a cell.
    """

    def __init__(self, width: int, heads: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.heads, self.eps = nn.Parameter(torch.ones(width)), heads, eps

    def forward(self, x: Tensor) -> Tensor:
        """Give every head of x (…, width) mean 0 and variance 1."""
        x = x.unflatten(-1, (self.heads, -1))
        x = x - x.mean(-1, keepdim=True)
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return x.flatten(-2) * self.weight
