"""Stacked LSTM, GRU and tanh networks on torch's fused kernels, or on ours where those are slower."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.builtin.models.language_model import (
    LanguageModel,
    LayerWeights,
    flat_state,
    gate_starts,
    hidden_parts,
    kept_sizes,
    layer_sizes,
    memory_parts,
    same_gates,
    stack_state,
    stack_units,
)
from hyperprune.layers.cells import GRU_GATES, LSTM_GATES, gru_step, lstm_step, tanh_step
from hyperprune.layers.dropout import dropout
from hyperprune.layers.recurrence import gru_over_time, tanh_over_time
from hyperprune.lyapunov.tangent import LayerTangent, StateKind
from hyperprune.lyapunov.tangent.cells import LayerRun, gru_layer, lstm_layer, tanh_layer
from hyperprune.model import Features, Gates, State, Units


class Uneven(nn.Module):
    """Recurrent layers of different widths, under the names that torch's stack of equal ones gives."""

    def __init__(
        self,
        fused: type[nn.LSTM | nn.GRU | nn.RNN],
        inputs: int,
        sizes: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        for layer, size in enumerate(sizes):
            for name, parameter in fused(inputs, size).named_parameters():
                self.register_parameter(name.replace("_l0", f"_l{layer}"), parameter)
            inputs = size
        self.fused, self.layers, self.dropout = fused, len(sizes), dropout

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run x (T, B, E) through all layers: outputs (T, B, H) and the new flat state."""
        weights, new = list[Tensor](self.parameters()), list[Tensor]()
        options = (True, 1, 0.0, self.training, False, False)
        for layer in range(self.layers):
            own = weights[4 * layer : 4 * layer + 4]
            if layer:
                x = dropout(x, self.dropout, self.training)
            if self.fused is nn.LSTM:
                h, c = state[2 * layer : 2 * layer + 2]
                x, h, c = torch.lstm(x, (h[None], c[None]), own, *options)
                new += [h[0], c[0]]
            else:
                run = torch.gru if self.fused is nn.GRU else torch.rnn_tanh
                x, h = run(x, state[layer][None], own, *options)
                new.append(h[0])
        return x, tuple(new)


class Stacked(LanguageModel):
    """Embedding → dropout → recurrent layers with dropout between them → dropout → decoder.

    Ordinary dropout: every element of every step is drawn anew (Zaremba et al. 2014, arXiv
    1409.2329). `rnn` is torch's module and holds the recurrent weights.
    """

    fused: type[nn.LSTM | nn.GRU | nn.RNN]
    carried = 1
    """State tensors a layer carries."""
    tangent_layer: LayerRun
    """Runs one layer with its analytic derivative."""
    cell_gates: Gates = ()
    over_time: Callable[..., Tensor] | None = None
    """Runs one layer in training on a CPU, where torch's module is slower."""

    def __init__(
        self,
        vocabulary: int | Features,
        *,
        hidden: int | Sequence[int],
        embedding: int,
        layers: int,
        dropout: float,
        tied: bool,
        init_range: float,
    ) -> None:
        sizes = layer_sizes(hidden, layers)
        embedding = embedding or sizes[-1]
        super().__init__(vocabulary, embedding, sizes[-1], tied=tied, init_range=init_range)
        between = dropout if layers > 1 else 0.0
        self.rnn: nn.Module
        if len(set(sizes)) == 1:
            self.rnn = self.fused(embedding, sizes[0], layers, dropout=between)
        else:
            self.rnn = Uneven(self.fused, embedding, sizes, between)
        self.layers, self.dropout = layers, dropout
        parts = memory_parts if self.carried == 2 else hidden_parts
        self.state_parts = parts(sizes)

    def gates(self) -> Mapping[str, Gates]:
        """Gates of the stacked weights and biases, in torch's order."""
        return same_gates(self, ("rnn.",), self.cell_gates) if self.cell_gates else {}

    def features(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs for tokens (T, B): dropped and undropped, both (T, B, H), and the new state."""
        written = self.over_time is not None and self.training and torch.is_grad_enabled()
        if written and self.rnn.weight_hh_l0.device.type == "cpu":
            return self.by_layers(tokens, state)
        return self.by_torch(tokens, state)

    def by_torch(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """`features` on torch's module."""
        x = dropout(self.embed(tokens), self.dropout, self.training)  # (T, B, E)
        if isinstance(self.rnn, Uneven):
            raw, state = self.rnn(x, state)
            return dropout(raw, self.dropout, self.training), raw, state
        stacked = stack_state(state, self.carried)
        raw, carried = self.rnn(x, stacked if self.carried == 2 else stacked[0])  # (T, B, H)
        state = flat_state(carried if self.carried == 2 else (carried,))
        return dropout(raw, self.dropout, self.training), raw, state

    def by_layers(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """`features` layer by layer, where that trains faster; drops what `by_torch` drops."""
        assert self.over_time is not None
        x, new = self.embed(tokens), []
        for layer, h in enumerate(state):
            x = dropout(x, self.dropout, self.training)
            x = self.over_time(x, h, *self.weights(layer))  # (T, B, H)
            new.append(x[-1])
        return dropout(x, self.dropout, self.training), x, tuple(new)

    def units(self) -> Mapping[str, Units]:
        """Where the units of the embedding and of the layers stand."""
        return stack_units(self, [self._names(layer) for layer in range(self.layers)])

    def narrowed(self, kept: Mapping[str, Tensor]) -> dict[str, Any]:
        """Settings of the network in which of each group's units those of a mask stay."""
        sizes = kept_sizes(kept)
        embedding = kept.get("embedding", kept[f"layer {self.layers - 1}"])
        return {"hidden": sizes, "embedding": int(embedding.sum())}

    def _names(self, layer: int) -> LayerWeights:
        read, own, *biases = (
            f"rnn.{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        size = self.state_parts[layer * self.carried].size
        starts = gate_starts(max(1, len(self.cell_gates)), size)
        return LayerWeights(size, dict.fromkeys((read, own, *biases), starts), (own,), (read,))

    def weights(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input weights, hidden weights, input bias and hidden bias of a layer."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        found: tuple[Tensor, ...] = tuple(getattr(self.rnn, f"{name}_l{layer}") for name in names)
        return found  # type: ignore[return-value]

    def tangent(
        self, inputs: Tensor, state: State, kind: StateKind
    ) -> tuple[list[LayerTangent], State]:
        """Analytic derivative of every layer: see `hyperprune.lyapunov.tangent`."""
        x, tangents, new = self.embed(inputs), [], list[Tensor]()
        for layer in range(self.layers):
            own = state[layer * self.carried : (layer + 1) * self.carried]
            x, carried, tangent = self.tangent_layer(
                layer, x, *own, *self.weights(layer), kind=kind
            )
            tangents.append(tangent)
            new += carried
        return tangents, tuple(new)


class StackedLSTM(Stacked):
    """Stacked LSTM (Hochreiter & Schmidhuber 1997).

    Lyapunov state: h and c of every layer. "full" has 2·layers·hidden exponents, "hidden" has
    layers·hidden (c carried, but held fixed in the derivative).
    """

    fused = nn.LSTM
    tangent_layer = staticmethod(lstm_layer)
    carried = 2
    cell_gates = LSTM_GATES

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every layer in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        x, new = self.embed(x_t), []
        for layer in range(self.layers):
            w_x, w_h, b_x, b_h = self.weights(layer)
            h, c = lstm_step(x, state[2 * layer], state[2 * layer + 1], w_x, w_h, b_x + b_h)
            new += [h, c]
            x = h
        return tuple(new)


def _gru_layer(x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
    return gru_over_time(functional.linear(x, w_x, b_x), h, w_h, b_h)


def _tanh_layer(x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor, b_h: Tensor) -> Tensor:
    return tanh_over_time(functional.linear(x, w_x, b_x + b_h), h, w_h)


class StackedGRU(Stacked):
    """Stacked GRU (Cho et al. 2014, arXiv 1406.1078; torch's variant, r after the product).

    Lyapunov state: h of every layer; "full" and "hidden" are the same layers·hidden exponents.
    """

    fused = nn.GRU
    tangent_layer = staticmethod(gru_layer)
    cell_gates = GRU_GATES
    over_time = staticmethod(_gru_layer)

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every layer in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        x, new = self.embed(x_t), []
        for layer in range(self.layers):
            x = gru_step(x, state[layer], *self.weights(layer))
            new.append(x)
        return tuple(new)


class StackedTanh(Stacked):
    """Stacked tanh network (Elman 1990).

    Lyapunov state: h of every layer; "full" and "hidden" are the same layers·hidden exponents.
    """

    fused = nn.RNN
    tangent_layer = staticmethod(tanh_layer)
    over_time = staticmethod(_tanh_layer)

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every layer in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        x, new = self.embed(x_t), []
        for layer in range(self.layers):
            w_x, w_h, b_x, b_h = self.weights(layer)
            x = tanh_step(x, state[layer], w_x, w_h, b_x + b_h)
            new.append(x)
        return tuple(new)
