"""torch's own recurrent modules as layers with analytic tangents: what each carries and how it runs.

`nn.LSTM`, `nn.GRU` and `nn.RNN` of any depth, with projections and either nonlinearity, and the cells
of the same names. Weights are read where the module has them at that moment, so that weights which are
computed from others (weight norm, weight drop) are those that it runs with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from hyperprune.lyapunov.tangent import Block, LayerTangent, StateKind
from hyperprune.lyapunov.tangent.cells import (
    LayerRun,
    Memory,
    gru_layer,
    lstm_layer,
    lstm_memory,
    lstm_slopes,
    relu_layer,
    tanh_layer,
)

OVER_TIME = (nn.LSTM, nn.GRU, nn.RNN)
CELLS = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)
RECURRENT = (*OVER_TIME, *CELLS)
Recurrent: TypeAlias = nn.LSTM | nn.GRU | nn.RNN | nn.LSTMCell | nn.GRUCell | nn.RNNCell


@dataclass(frozen=True)
class Layer:
    """One layer: its name, how it runs, and the sizes of the tensors that it carries (h, or h and c)."""

    name: str
    run: Callable[..., tuple[Tensor, tuple[Tensor, ...], LayerTangent]]
    sizes: tuple[int, ...]


def layers_of(name: str, module: Recurrent) -> list[Layer]:
    """The layers of a module, bottom first, with its weights in float64.

    A module of one layer has the module's own name; those of several add torch's suffix: `rnn.l1`.
    """
    memory = isinstance(module, nn.LSTM | nn.LSTMCell)
    count = module.num_layers if isinstance(module, OVER_TIME) else 1
    found = []
    for index in range(count):
        suffix = f"_l{index}" if isinstance(module, OVER_TIME) else ""
        label = f"{name}.l{index}".lstrip(".") if count > 1 else name or type(module).__name__
        w_h = _weight(module, f"weight_hh{suffix}")
        w_x = _weight(module, f"weight_ih{suffix}")
        zero = w_h.new_zeros(len(w_h))
        b_x, b_h = (
            _weight(module, f"{side}{suffix}") if module.bias else zero
            for side in ("bias_ih", "bias_hh")
        )
        weights: tuple[Tensor, ...] = (w_x, w_h, b_x, b_h)
        run, sizes = _run(module), tuple(w_h.shape[1:])
        if isinstance(module, nn.LSTM) and module.proj_size:
            run, weights = projected_lstm_layer, (*weights, _weight(module, f"weight_hr{suffix}"))
        if memory:
            sizes = (w_h.shape[1], module.hidden_size)
        found.append(Layer(label, partial(_with, run, weights), sizes))
    return found


def _with(
    run: LayerRun,
    weights: tuple[Tensor, ...],
    layer: int,
    x: Tensor,
    *state: Tensor,
    kind: StateKind,
) -> tuple[Tensor, tuple[Tensor, ...], LayerTangent]:
    return run(layer, x, *state, *weights, kind=kind)


def _run(module: Recurrent) -> LayerRun:
    if isinstance(module, nn.LSTM | nn.LSTMCell):
        return lstm_layer
    if isinstance(module, nn.GRU | nn.GRUCell):
        return gru_layer
    return relu_layer if module.nonlinearity == "relu" else tanh_layer


def _weight(module: nn.Module, name: str) -> Tensor:
    weight: Tensor = getattr(module, name)
    return weight.detach().double()


def projected_lstm_layer(
    layer: int,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w_x: Tensor,
    w_h: Tensor,
    b_x: Tensor,
    b_h: Tensor,
    w_p: Tensor,
    *,
    kind: StateKind,
) -> tuple[Tensor, tuple[Tensor, Tensor], LayerTangent]:
    """Run one LSTM layer that shows h' = W_p (o ⊙ tanh c') (Sak et al. 2014, arXiv 1402.1128).

    x (T, B, E), h (B, P), c (B, H), w_h (4H, P), w_p (P, H), the rest as `lstm_layer`.
    """
    drive = x @ w_x.T + (b_x + b_h)  # (T, B, 4H)
    gates, cells, outputs = [], [c], []
    for drive_t in drive:
        i, f, g, o = (drive_t + h @ w_h.T).chunk(4, -1)  # (B, H) each
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = (o * c.tanh()) @ w_p.T  # (B, P)
        gates.append(torch.stack([i, f, g, o]))
        cells.append(c)
        outputs.append(h)
    i, f, g, o = torch.stack(gates, 1)  # (T, B, H) each
    before, squashed = torch.stack(cells[:-1]), torch.stack(cells[1:]).tanh()
    slopes = lstm_slopes((i, f, g, o), before, squashed)
    inner = lstm_memory(layer, w_h, slopes, f, "hidden")
    return torch.stack(outputs), (h, c), Projected(inner, w_p, kind)


class Projected(LayerTangent):
    """A layer that shows h' = W_p m', m' = o ⊙ tanh(c'): blocks of (h, c), or of h with c held fixed.

    `inner` has the blocks ∂m'/∂h (b, H, P), c held fixed.
    """

    def __init__(self, inner: Memory, w_p: Tensor, kind: StateKind) -> None:
        self.inner, self.w_p, self.kind = inner, w_p, kind
        P, H = w_p.shape
        self.layer, self.size = inner.layer, P + (H if kind == "full" else 0)

    def block(self, t: int, rows: slice) -> Block:
        """Derivative at step t: (b, P + H, P + H), or (b, P, P)."""
        shown = self.inner.block(t, rows)
        assert isinstance(shown, Tensor)
        shown = self.w_p @ shown  # (b, P, P)
        if self.kind == "hidden":
            return shown
        slope, carry = self.inner.slope[t, rows], self.inner.carry[t, rows]  # (b, H)
        beside = self.w_p * (slope * carry)[:, None]  # (b, P, H)
        C = self.inner.memory.block(t, rows)
        assert isinstance(C, Tensor)
        upper, lower = torch.cat([shown, beside], -1), torch.cat([C, torch.diag_embed(carry)], -1)
        return torch.cat([upper, lower], -2)
