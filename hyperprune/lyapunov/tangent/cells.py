"""Analytic tangents of recurrent layers, built from row scalings of their weights.

Equations: Vogt et al. 2022 (Lyapunov exponents of RNNs) for the gated cells, with the gates
combined into one block a step; the derivatives are elementary and are checked against automatic
differentiation in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from hyperprune.lyapunov.tangent import Block, LayerTangent, MemoryBlock, StateKind

AT_ONCE = 2**17
"""Numbers that blocks made at once may have: of small blocks several steps' (measured)."""


class RowScaled(LayerTangent):
    """J_t = Σ_g diag(a_g) W_g + diag(d): tanh networks, GRU, one depth of a highway network.

    `weights` (G, n, m), `scales` (T, B, G, n) the a_g, `diagonal` (T, B, n) the d, where there is one.
    Blocks are made by columns, as LAPACK keeps matrices: a row scaling is then one row vector.
    """

    def __init__(
        self, layer: int, weights: Tensor, scales: Tensor, diagonal: Tensor | None = None
    ) -> None:
        self.layer, self.size = layer, weights.shape[-2]
        self.weights = weights.mT.contiguous()  # (G, m, n)
        self.scales, self.diagonal = scales, diagonal

    def block(self, t: int, rows: slice) -> Tensor:
        """Combine the gates of step t into one block (b, n, m)."""
        return next(self.blocks(range(t, t + 1), rows))

    def blocks(self, steps: range, rows: slice) -> Iterator[Tensor]:
        """The same for several steps, small blocks some at a time, in the same memory over and over."""
        _, m, n = self.weights.shape
        b = rows.stop - rows.start
        some = max(1, min(AT_ONCE // (b * m * n), len(steps)))
        memory = self.weights.new_empty(some, b, m, n)
        for first in range(steps.start, steps.stop, some):
            now = slice(first, min(first + some, steps.stop))
            scales = self.scales[now, rows].unsqueeze(-2).unbind(2)  # G of (t, b, 1, n)
            columns = torch.mul(self.weights[0], scales[0], out=memory[: now.stop - first])
            for gate, scale in zip(self.weights[1:], scales[1:], strict=True):
                columns.addcmul_(gate, scale)
            if self.diagonal is not None:
                columns.diagonal(dim1=-2, dim2=-1).add_(self.diagonal[now, rows])
            yield from (columns[t].mT for t in range(len(columns)))


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
        return self._with(t, rows, self.memory.block(t, rows), self.output.block(t, rows))

    def blocks(self, steps: range, rows: slice) -> Iterator[Block]:
        """The same for several steps."""
        parts = self.memory.blocks(steps, rows), self.output.blocks(steps, rows)
        return (self._with(t, rows, C, D) for t, C, D in zip(steps, *parts, strict=True))

    def _with(self, t: int, rows: slice, C: Block, D: Block) -> Block:
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
    H = h.shape[-1]
    gates = x @ w_x.T + (b_x + b_h)  # (T, B, 4H)
    i, f, g, o = gates.chunk(4, -1)  # (T, B, H) each
    cells = torch.cat([c[None], torch.empty_like(i)])  # (T + 1, B, H)
    outputs = torch.empty_like(i)
    before, after = cells[:-1], cells[1:]
    each = (part.unbind(0) for part in (gates, gates[..., : 2 * H], i, f, g, o))
    states = (part.unbind(0) for part in (before, after, outputs))
    for gates_t, if_t, i_t, f_t, g_t, o_t, c, new, output in zip(*each, *states, strict=True):
        gates_t.addmm_(h, w_h.T)
        if_t.sigmoid_(), g_t.tanh_(), o_t.sigmoid_()
        torch.addcmul(i_t * g_t, f_t, c, out=new)
        h = torch.mul(o_t, new.tanh(), out=output)
    slopes = lstm_slopes((i, f, g, o), before, after.tanh())
    tangent: LayerTangent
    if kind == "hidden":  # one combination of all four gates
        slope, into_memory, into_output = slopes
        scales = torch.cat([slope[:, :, None] * into_memory, into_output], 2)
        tangent = RowScaled(layer, w_h.unflatten(0, (4, -1)), scales)
    else:
        tangent = lstm_memory(layer, w_h, slopes, f, kind)
    return outputs, (h, cells[-1]), tangent


Slopes: TypeAlias = tuple[Tensor, Tensor, Tensor]


def lstm_slopes(
    gates: tuple[Tensor, Tensor, Tensor, Tensor], before: Tensor, squashed: Tensor
) -> Slopes:
    """Derivatives of h' to c' (T, B, H), of c' to what i, f, g take (T, B, 3, H), of h' to o's (T, B, 1, H).

    gates: i, f, g, o (T, B, H) each; before: c; squashed: tanh(c').
    """
    i, f, g, o = gates
    slope = o * (1 - squashed**2)
    into_memory = torch.stack([g * i * (1 - i), before * f * (1 - f), i * (1 - g**2)], 2)
    return slope, into_memory, (squashed * o * (1 - o))[:, :, None]


def lstm_memory(layer: int, w_h: Tensor, slopes: Slopes, carry: Tensor, kind: StateKind) -> Memory:
    """The tangent of an LSTM whose gates take W_h h, w_h (4H, m); carry (T, B, H): f."""
    slope, into_memory, into_output = slopes
    W = w_h.unflatten(0, (4, -1))  # (4, H, m)
    memory, output = RowScaled(layer, W[:3], into_memory), RowScaled(layer, W[3:], into_output)
    return Memory(layer, memory, output, slope, carry, kind)


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


def plain_layer(
    squash: Callable[[Tensor], Tensor],
    slope: Callable[[Tensor], Tensor],
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
    """Run one layer h' = squash(W_x x + W_h h + b) over x (T, B, E): outputs (T, B, H), (h,), tangent.

    `slope` is the derivative of `squash`, from what it returned. There is no memory: both kinds of
    state are h.
    """
    drive = x @ w_x.T + (b_x + b_h)  # (T, B, H)
    outputs = []
    for drive_t in drive:
        h = squash(drive_t + h @ w_h.T)
        outputs.append(h)
    stacked = torch.stack(outputs)
    return stacked, (h,), RowScaled(layer, w_h[None], slope(stacked)[:, :, None])


tanh_layer = partial(plain_layer, torch.tanh, lambda shown: 1 - shown**2)
relu_layer = partial(plain_layer, torch.relu, lambda shown: (shown > 0).to(shown.dtype))
"""At 0 its slope is 0, as torch's."""
