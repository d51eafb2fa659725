"""Short convolutions over time: what a step sees of the few inputs before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CausalConvolution(nn.Module):
    """y_t = b + Σ_{j<K} w_j ⊙ x_{t−j}: every channel by itself, over its last K inputs; then a SiLU or none.

    The K − 1 inputs before a segment are its window (B, (K − 1)·E), oldest first. All w lie in one vector:
    they are no projection, so what masks matrices passes them by.
    """

    def __init__(self, width: int, steps: int, *, silu: bool = False) -> None:
        super().__init__()
        self.width, self.steps, self.silu = width, steps, silu
        self.window = (steps - 1) * width
        self.taps, self.bias = (
            nn.Parameter(torch.empty(steps * width)),
            nn.Parameter(torch.zeros(width)),
        )
        nn.init.uniform_(self.taps, -(steps**-0.5), steps**-0.5)

    def forward(self, x: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (T, B, E) and the window before them to outputs (T, B, E) and the window after them."""
        past = window.unflatten(-1, (self.steps - 1, self.width)).transpose(0, 1)
        seen = torch.cat([past.to(x.dtype), x])  # (K − 1 + T, B, E)
        y = self.bias
        for j, tap in enumerate(self.taps.view(self.steps, self.width)):  # the oldest input first
            y = y + tap * seen[j : j + len(x)]
        return functional.silu(y) if self.silu else y, seen[len(x) :].transpose(0, 1).flatten(1)
