"""Ordered-neurons LSTM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from hyperprune.builtin.models.language_model import (
    LanguageModel,
    LayerWeights,
    gate_starts,
    layer_sizes,
    memory_parts,
    same_gates,
    stack_units,
)
from hyperprune.builtin.models.on_lstm_cell import (
    OrderedCell,
    UnevenCell,
    gate_sizes,
    ordered_layer,
)
from hyperprune.errors import PluginError
from hyperprune.layers.dropout import Dropouts, locked_dropout, weight_drop
from hyperprune.layers.scan import scan
from hyperprune.lyapunov.tangent import LayerTangent, StateKind
from hyperprune.model import Features, Gates, State, Units


class Ordered(nn.Module):
    """Weights of one layer, gates stacked as `gate_sizes` says."""

    def __init__(self, inputs: int, hidden: int, chunks: int) -> None:
        super().__init__()
        rows = sum(gate_sizes(hidden, chunks).values())
        self.input = nn.Linear(inputs, rows)
        self.recurrent = nn.Linear(hidden, rows)

    def drive(self, x: Tensor) -> Tensor:
        """Input's part of the gates for inputs (…, E): (…, 2n + 4H)."""
        driven: Tensor = self.input(x)
        return driven


class ONLSTM(LanguageModel):
    """Ordered-neurons LSTM (Shen et al. 2019, arXiv 1810.09536).

    Dropouts: whole words of the embedding; inputs, layers and outputs locked over time; single
    recurrent weights (weight-drop), redrawn for each segment. Evaluation uses the raw weights.

    Lyapunov state: h and c of every layer. "full" has twice as many exponents as the layers have
    units, "hidden" as many as they have units (c carried, but held fixed in the derivative). By
    definition both master gates end at 1 and 0, so each layer's last chunk keeps its first memory
    for ever: from a zero state its C units stay at 0, and their exponents lie at the floor.
    """

    def __init__(
        self,
        vocabulary: int | Features,
        *,
        embedding: int,
        hidden: int,
        layers: int,
        chunk: int,
        chunks: Sequence[Sequence[int]] = (),
        dropouts: Dropouts,
        ar: float,
        tar: float,
        tied: bool,
        init_range: float,
    ) -> None:
        sizes = [hidden] * (layers - 1) + [embedding if tied else hidden]
        if chunks:
            sizes = layer_sizes([sum(counts) for counts in chunks], layers)
        super().__init__(
            vocabulary, embedding, sizes[-1], tied=tied, init_range=init_range, ar=ar, tar=tar
        )
        for size in sizes:
            if size % chunk and not chunks:
                raise PluginError(f"a layer of {size} units cannot be cut into chunks of {chunk}")
            if not size:
                raise PluginError("model.chunks has a layer without a unit")
        self.chunks = tuple(map(tuple, chunks)) or tuple((chunk,) * (n // chunk) for n in sizes)
        self.layers = nn.ModuleList(
            Ordered(wide, size, len(counts))
            for wide, size, counts in zip([embedding, *sizes[:-1]], sizes, self.chunks, strict=True)
        )
        self.cells = [
            UnevenCell(counts) if len(set(counts)) > 1 else OrderedCell(counts[0])
            for counts in self.chunks
        ]
        self.dropouts = dropouts
        self.state_parts = memory_parts(sizes)

    def stack(self) -> list[Ordered]:
        """The layers, bottom first."""
        return cast("list[Ordered]", list(self.layers))

    def gates(self) -> Mapping[str, Gates]:
        """Gates of every layer's weights and biases; the master gates are narrower."""
        found: dict[str, Gates] = {}
        for index, layer in enumerate(self.stack()):
            sizes = gate_sizes(layer.recurrent.in_features, len(self.chunks[index]))
            found.update(same_gates(self, (f"layers.{index}.",), sizes))
        return found

    def units(self) -> Mapping[str, Units]:
        """Where the units of the embedding and of the layers stand; master gates are no unit's."""
        layers = []
        for index, counts in enumerate(self.chunks):
            size, own = sum(counts), f"layers.{index}."
            starts = gate_starts(4, size, 2 * len(counts))
            parts = ("input.weight", "input.bias", "recurrent.weight", "recurrent.bias")
            rows = dict.fromkeys((own + part for part in parts), starts)
            layers.append(
                LayerWeights(size, rows, (f"{own}recurrent.weight",), (f"{own}input.weight",))
            )
        return stack_units(self, layers)

    def narrowed(self, kept: Mapping[str, Tensor]) -> dict[str, Any]:
        """Settings of the network in which of each group's units those of a mask stay."""
        chunks = [
            [int(part.sum()) for part in kept[f"layer {index}"].split(list(counts))]
            for index, counts in enumerate(self.chunks)
        ]
        embedding = kept.get("embedding", kept[f"layer {len(self.chunks) - 1}"])
        return {"chunks": chunks, "embedding": int(embedding.sum())}

    def features(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs for tokens (T, B): dropped and undropped, both (T, B, H), and the new state."""
        drop = self.dropouts
        x = self.dropped_embedding(tokens, drop.embedding)
        x = locked_dropout(x, drop.input, self.training)  # (T, B, E)
        raw, new = x, []
        for index, layer in enumerate(self.stack()):
            h, c = state[2 * index : 2 * index + 2]
            weight = weight_drop(layer.recurrent.weight, drop.weight, self.training)
            cell = self.cells[index]
            raw, memory = scan(cell, layer.drive(x), h, c, [weight], [layer.recurrent.bias])
            assert memory is not None
            new += [raw[-1], memory]
            last = index == len(self.layers) - 1
            x = locked_dropout(raw, drop.output if last else drop.hidden, self.training)
        return x, raw, tuple(new)

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every layer in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        x, new = self.embed(x_t), []
        for index, layer in enumerate(self.stack()):
            h, c = state[2 * index : 2 * index + 2]
            h, c, _ = self.cells[index].forward(layer.drive(x) + layer.recurrent(h), h, c)
            new += [h, c]
            x = h
        return tuple(new)

    def tangent(
        self, inputs: Tensor, state: State, kind: StateKind
    ) -> tuple[list[LayerTangent], State]:
        """Analytic derivative of `step` (see `hyperprune.lyapunov.tangent`)."""
        x, tangents, new = self.embed(inputs), [], list[Tensor]()
        for index, layer in enumerate(self.stack()):
            h, c = state[2 * index : 2 * index + 2]
            own, cell = layer.recurrent, self.cells[index]
            x, carried, tangent = ordered_layer(
                index, layer.drive(x), h, c, own.weight, own.bias, cell, kind=kind
            )
            tangents.append(tangent)
            new += carried
        return tangents, tuple(new)
