"""One time step of the cells that torch fuses over time, as plain functions (evaluation mode)."""

from __future__ import annotations

import torch
from torch import Tensor

LSTM_GATES = ("input", "forget", "cell", "output")
GRU_GATES = ("reset", "update", "new")
"""The order in which torch stacks gates."""


def lstm_step(
    x: Tensor, h: Tensor, c: Tensor, w_x: Tensor, w_h: Tensor, b: Tensor
) -> tuple[Tensor, Tensor]:
    """LSTM: x (B, E), h and c (B, H) to the next (h, c); weights (4H, ·) as i, f, g, o."""
    i, f, g, o = (x @ w_x.T + h @ w_h.T + b).chunk(4, dim=-1)  # (B, H) each
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
    """GRU: x (B, E), h (B, H) to the next h; weights (3H, ·) as r, z, n; r gates W_h h + b_h."""
    x_r, x_z, x_n = (x @ w_x.T + b_x).chunk(3, dim=-1)
    h_r, h_z, h_n = (h @ w_h.T + b_h).chunk(3, dim=-1)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
    return (1 - z) * n + z * h


def tanh_step(x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b: Tensor) -> Tensor:
    """Elman network: tanh(W_x x + W_h h + b), all (B, H)."""
    return torch.tanh(x @ w_x.T + h @ w_h.T + b)
