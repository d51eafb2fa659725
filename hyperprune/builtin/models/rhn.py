"""Recurrent highway network: several highway steps inside each step of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from hyperprune.builtin.models.language_model import (
    LanguageModel,
    LayerWeights,
    gate_starts,
    hidden_parts,
    kept_sizes,
    layer_sizes,
    same_gates,
    stack_units,
)
from hyperprune.builtin.models.rhn_cell import GATES, HighwayCell, highway_layer
from hyperprune.layers.dropout import Dropouts, keep_mask, locked_dropout
from hyperprune.layers.scan import scan
from hyperprune.lyapunov.tangent import LayerTangent, StateKind
from hyperprune.model import Features, Gates, State, Units


class Highway(nn.Module):
    """Weights of one layer: W for its input and one R with a bias for each depth."""

    def __init__(self, inputs: int, hidden: int, depth: int, gates: int, bias: float) -> None:
        super().__init__()
        self.input = nn.Linear(inputs, gates * hidden, bias=False)
        self.recurrent = nn.ModuleList(nn.Linear(hidden, gates * hidden) for _ in range(depth))
        with torch.no_grad():
            for _, own in self.pairs():
                own[hidden : 2 * hidden] += bias

    def drive(self, x: Tensor) -> Tensor:
        """W x for inputs (…, E): (…, G)."""
        driven: Tensor = self.input(x)
        return driven

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """(R_k, b_k) of each depth."""
        linears = cast("list[nn.Linear]", list(self.recurrent))
        return [(linear.weight, linear.bias) for linear in linears]


class RHN(LanguageModel):
    """Recurrent highway network of any depth and any number of layers.

    Zilly et al. 2017 (arXiv 1607.03474).

    Variational dropout: whole words of the embedding, inputs and outputs locked over time, and one
    mask of the recurrent state for a segment, shared over its time steps and depths.

    Lyapunov state: s of every layer; "full" and "hidden" are the same layers·hidden exponents. The
    Jacobian of a time step is the product of its depths', biases included.
    """

    def __init__(
        self,
        vocabulary: int | Features,
        *,
        hidden: int | Sequence[int],
        embedding: int,
        layers: int,
        depth: int,
        coupled: bool,
        transform_bias: float,
        dropouts: Dropouts,
        tied: bool,
        init_range: float,
    ) -> None:
        sizes = layer_sizes(hidden, layers)
        embedding = embedding or sizes[-1]
        super().__init__(vocabulary, embedding, sizes[-1], tied=tied, init_range=init_range)
        gates = len(GATES[coupled])
        self.layers = nn.ModuleList(
            Highway(wide, size, depth, gates, transform_bias)
            for wide, size in zip([embedding, *sizes[:-1]], sizes, strict=True)
        )
        self.cell = HighwayCell(coupled)
        self.dropouts = dropouts
        self.state_parts = hidden_parts(sizes)

    def stack(self) -> list[Highway]:
        """The layers, bottom first."""
        return cast("list[Highway]", list(self.layers))

    def gates(self) -> Mapping[str, Gates]:
        """Gates of W, of every R, and of the biases."""
        return same_gates(self, ("layers.",), GATES[self.cell.coupled])

    def units(self) -> Mapping[str, Units]:
        """Where the units of the embedding and of the layers stand: one state through all depths."""
        return stack_units(self, [self._names(index) for index in range(len(self.layers))])

    def narrowed(self, kept: Mapping[str, Tensor]) -> dict[str, Any]:
        """Settings of the network in which of each group's units those of a mask stay."""
        embedding = kept.get("embedding", kept[f"layer {len(self.layers) - 1}"])
        return {"hidden": kept_sizes(kept), "embedding": int(embedding.sum())}

    def _names(self, index: int) -> LayerWeights:
        size, own = self.state_parts[index].size, f"layers.{index}."
        starts = gate_starts(len(GATES[self.cell.coupled]), size)
        depths = range(len(self.stack()[index].recurrent))
        recurrent = tuple(f"{own}recurrent.{k}.weight" for k in depths)
        biases = tuple(f"{own}recurrent.{k}.bias" for k in depths)
        rows = dict.fromkeys((f"{own}input.weight", *recurrent, *biases), starts)
        return LayerWeights(size, rows, recurrent, (f"{own}input.weight",))

    def features(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs for tokens (T, B): dropped and undropped, both (T, B, H), and the new state."""
        drop = self.dropouts
        x = self.dropped_embedding(tokens, drop.embedding)
        x = locked_dropout(x, drop.input, self.training)  # (T, B, E)
        raw, new = x, []
        for layer, s in zip(self.stack(), state, strict=True):
            mask = None
            if self.training and drop.hidden:
                mask = keep_mask(tuple(s.shape), drop.hidden, s)  # (B, H)
            weights, biases = zip(*layer.pairs(), strict=True)
            raw, _ = scan(self.cell, layer.drive(x), s, None, weights, biases, mask)
            new.append(raw[-1])
            x = locked_dropout(raw, drop.output, self.training)
        return x, raw, tuple(new)

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every layer in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        x, new = self.embed(x_t), []
        for layer, s in zip(self.stack(), state, strict=True):
            drive = layer.drive(x)
            for k, (weight, bias) in enumerate(layer.pairs()):
                z = s @ weight.T + bias
                s, _, _ = self.cell.forward(z + drive if k == 0 else z, s, None)
            new.append(s)
            x = s
        return tuple(new)

    def tangent(
        self, inputs: Tensor, state: State, kind: StateKind
    ) -> tuple[list[LayerTangent], State]:
        """Analytic derivative of `step` (see `hyperprune.lyapunov.tangent`)."""
        x, tangents, new = self.embed(inputs), [], list[Tensor]()
        for index, (layer, s) in enumerate(zip(self.stack(), state, strict=True)):
            drive = layer.drive(x)
            x, carried, tangent = highway_layer(index, drive, s, layer.pairs(), self.cell.coupled)
            tangents.append(tangent)
            new += carried
        return tangents, tuple(new)
