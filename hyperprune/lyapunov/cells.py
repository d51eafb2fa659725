"""Analytic tangents of recurrent layers, built from row scalings of their weights.

Equations: Vogt et al. 2022 (Lyapunov exponents of RNNs) for the gated cells, with the gates
combined into one block a step; the derivatives are elementary and are checked against automatic
differentiation in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from hyperprune.lyapunov.tangent import Block, LayerTangent, MemoryBlock, StateKind


def scaled_rows(weights: Tensor, scales: Tensor) -> Tensor:
    """Σ_g diag(scales_g) W_g for weights (n, G, m) and scales (n, B, G): a block (B, n, m).

    One small product a row, so that every weight is read once for all sequences and gates.
    """
    return torch.bmm(scales, weights).transpose(0, 1)  # (B, n, m)


class RowScaled(LayerTangent):
    """J_t = Σ_g diag(a_g) W_g + diag(d): tanh networks, GRU, one depth of a highway network.

    `weights` (G, n, n), `scales` (T, B, G, n) the a_g, `diagonal` (T, B, n) the d, where there is one.
    """

    def __init__(
        self, layer: int, weights: Tensor, scales: Tensor, diagonal: Tensor | None = None
    ) -> None:
        self.layer, self.size = layer, weights.shape[-2]
        self.weights = weights.transpose(0, 1).contiguous()  # (n, G, m)
        self.scales = scales.permute(0, 3, 1, 2).contiguous()  # (T, n, B, G)
        self.diagonal = diagonal

    def block(self, t: int, rows: slice) -> Tensor:
        """Combine the gates of step t into one block (b, n, n)."""
        block = scaled_rows(self.weights, self.scales[t][:, rows])
        if self.diagonal is not None:
            block.diagonal(dim1=-2, dim2=-1).add_(self.diagonal[t, rows])
        return block


class Product(LayerTangent):
    """J_t = J_t^D … J_t^1: one time step made of several (a highway network's depths, first one first)."""

    def __init__(self, factors: Sequence[LayerTangent]) -> None:
        self.layer, self.size = factors[0].layer, factors[0].size
        self.factors = factors

    def block(self, t: int, rows: slice) -> Tensor:
        """Multiply the factors of step t: (b, n, n)."""
        block: Block = self.factors[0].block(t, rows)
        assert isinstance(block, Tensor)
        for factor in self.factors[1:]:
            block = factor.product(t, rows, block)
        return block


class Memory(LayerTangent):
    """A layer with h' = o ⊙ tanh(c'), whose memory is carried elementwise: LSTM, ON-LSTM.

    `memory`: the tangent C of c' with respect to h; `output`: that of o ⊙ const with respect to h,
    tanh(c') held fixed; `slope` (T, B, H): o (1 − tanh²(c')); `carry` (T, B, H): ∂c'/∂c.
    So ∂h'/∂h = output + diag(slope) C, and ∂h'/∂c = slope ⊙ carry.
    """

    def __init__(
        self,
        layer: int,
        memory: LayerTangent,
        output: LayerTangent,
        slope: Tensor,
        carry: Tensor,
        kind: StateKind,
    ) -> None:
        self.layer, self.kind = layer, kind
        self.size = slope.shape[-1] * (2 if kind == "full" else 1)
        self.memory, self.output, self.slope, self.carry = memory, output, slope, carry

    def block(self, t: int, rows: slice) -> Block:
        """The block of (h, c), or of h alone with c held fixed."""
        C, D = self.memory.block(t, rows), self.output.block(t, rows)
        assert isinstance(C, Tensor)
        assert isinstance(D, Tensor)
        if self.kind == "hidden":
            return D.addcmul_(self.slope[t, rows, :, None], C)
        return MemoryBlock(D, C, self.slope[t, rows], self.carry[t, rows])


LayerRun: TypeAlias = Callable[..., tuple[Tensor, tuple[Tensor, ...], LayerTangent]]
"""Any of the layers below: outputs (T, B, H), the layer's new state, its tangent."""


def lstm_layer(
    layer: int,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w_x: Tensor,
    w_h: Tensor,
    b_x: Tensor,
    b_h: Tensor,
    *,
    kind: StateKind,
) -> tuple[Tensor, tuple[Tensor, Tensor], LayerTangent]:
    """Run one LSTM layer over x (T, B, E): its outputs (T, B, H), new (h, c), and its tangent.

    Weights stack the gates i, f, g, o as torch does: w_x (4H, E), w_h (4H, H), biases (4H,).
    """
    drive = x @ w_x.T + (b_x + b_h)  # (T, B, 4H)
    gates, cells, outputs = [], [c], []
    for drive_t in drive:
        i, f, g, o = (drive_t + h @ w_h.T).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        gates.append(torch.stack([i, f, g, o], 1))  # (B, 4, H)
        cells.append(c)
        outputs.append(h)
    i, f, g, o = torch.stack(gates).unbind(2)  # (T, B, H) each
    before, squashed = torch.stack(cells[:-1]), torch.stack(cells[1:]).tanh()
    slope = o * (1 - squashed**2)
    into_memory = torch.stack([g * i * (1 - i), before * f * (1 - f), i * (1 - g**2)], 2)
    into_output = squashed * o * (1 - o)
    W = w_h.unflatten(0, (4, -1))  # (4, H, H)
    tangent: LayerTangent
    if kind == "hidden":  # one combination of all four gates
        scales = torch.cat([slope[:, :, None] * into_memory, into_output[:, :, None]], 2)
        tangent = RowScaled(layer, W, scales)
    else:
        memory = RowScaled(layer, W[:3], into_memory)
        output = RowScaled(layer, W[3:], into_output[:, :, None])
        tangent = Memory(layer, memory, output, slope, f, kind)
    return torch.stack(outputs), (h, c), tangent


def gru_layer(
    layer: int,
    x: Tensor,
    h: Tensor,
    w_x: Tensor,
    w_h: Tensor,
    b_x: Tensor,
    b_h: Tensor,
    *,
    kind: StateKind = "full",
) -> tuple[Tensor, tuple[Tensor], LayerTangent]:
    """Run one GRU layer over x (T, B, E): its outputs (T, B, H), new (h,), and its tangent.

    Weights stack r, z, n as torch does, with r applied after the product (Cho et al. 2014). There
    is no memory: both kinds of state are h.
    """
    drive = x @ w_x.T + b_x  # (T, B, 3H)
    scales, diagonals, outputs = [], [], []
    for drive_t in drive:
        drive_r, drive_z, drive_n = drive_t.chunk(3, -1)
        own_r, own_z, own_n = (h @ w_h.T + b_h).chunk(3, -1)
        r, z = (drive_r + own_r).sigmoid(), (drive_z + own_z).sigmoid()
        n = (drive_n + r * own_n).tanh()
        into_n = (1 - z) * (1 - n**2)
        scales.append(
            torch.stack([into_n * own_n * r * (1 - r), (h - n) * z * (1 - z), into_n * r], 1)
        )
        diagonals.append(z)
        h = (1 - z) * n + z * h
        outputs.append(h)
    W = w_h.unflatten(0, (3, -1))
    tangent = RowScaled(layer, W, torch.stack(scales), torch.stack(diagonals))
    return torch.stack(outputs), (h,), tangent


def tanh_layer(
    layer: int,
    x: Tensor,
    h: Tensor,
    w_x: Tensor,
    w_h: Tensor,
    b_x: Tensor,
    b_h: Tensor,
    *,
    kind: StateKind = "full",
) -> tuple[Tensor, tuple[Tensor], LayerTangent]:
    """Run one tanh layer over x (T, B, E): its outputs (T, B, H), new (h,), and its tangent.

    There is no memory: both kinds of state are h.
    """
    drive = x @ w_x.T + (b_x + b_h)  # (T, B, H)
    outputs = []
    for drive_t in drive:
        h = (drive_t + h @ w_h.T).tanh()
        outputs.append(h)
    stacked = torch.stack(outputs)
    tangent = RowScaled(layer, w_h[None], (1 - stacked**2)[:, :, None])
    return stacked, (h,), tangent
