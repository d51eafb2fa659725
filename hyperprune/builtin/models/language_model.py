"""What the shipped models share: embedding, decoder, losses and regularisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hyperprune.errors import PluginError
from hyperprune.layers.dropout import activation_penalty, embedding_dropout, locked_dropout
from hyperprune.layers.mixture import linear_nll
from hyperprune.model import Features, Gates, Place, RecurrentLM, State, StatePart, Units


class LanguageModel(RecurrentLM):
    """Embedding → `features` (the recurrence with its dropouts) → linear decoder.

    A subclass sets `state_parts` and defines `features` and `step`. `ar` and `tar` weigh the
    activation penalties that training adds to the loss.
    """

    def __init__(
        self,
        vocabulary: int | Features,
        embedding: int,
        output: int,
        *,
        tied: bool,
        init_range: float = 0.1,
        ar: float = 0.0,
        tar: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder: nn.Embedding | nn.Linear
        if isinstance(vocabulary, Features):
            if tied:
                raise PluginError(
                    "a decoder is tied to an embedding of words: set model.tied = false"
                )
            self.encoder = nn.Linear(vocabulary.inputs, embedding)
            self.decoder = nn.Linear(output, vocabulary.outputs)
        else:
            self.encoder = nn.Embedding(vocabulary, embedding)
            self.decoder = nn.Linear(output, vocabulary)
        if tied:
            if output != embedding:
                widths = f"outputs are {output} wide, the embedding {embedding}"
                raise PluginError(f"a tied decoder needs equal widths: {widths}")
            self.decoder.weight = self.encoder.weight
        if isinstance(self.encoder, nn.Embedding):  # a sum over features keeps torch's own scale
            nn.init.uniform_(self.encoder.weight, -init_range, init_range)
        if not tied:
            nn.init.uniform_(self.decoder.weight, -init_range, init_range)
        nn.init.zeros_(self.decoder.bias)
        self.ar, self.tar = ar, tar

    def features(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs for tokens (T, B): dropped and undropped, both (T, B, H), and the new state."""
        raise NotImplementedError

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Map tokens (T, B) to logits (T, B, V) and the state after the last token."""
        dropped, _, state = self.features(tokens, state)
        return self.logits(dropped), state

    def logits(self, features: Tensor) -> Tensor:
        """Map outputs (T, B, H) to unnormalised log-probabilities (T, B, V)."""
        decoded: Tensor = self.decoder(features)
        return decoded

    def nll(self, features: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log likelihood of targets (T, B) in nats per token."""
        weight, bias = self.decoder.weight, self.decoder.bias
        return linear_nll(features.flatten(0, 1), weight, bias, targets.flatten())

    def training_loss(
        self, tokens: Tensor, targets: Tensor, state: State
    ) -> tuple[Tensor, Tensor, State]:
        """Loss to minimise, mean negative log likelihood (nats per token), new state."""
        dropped, raw, state = self.features(tokens, state)
        nll = self.nll(dropped, targets)
        return nll + activation_penalty(dropped, raw, self.ar, self.tar), nll.detach(), state

    def evaluation_loss(
        self, tokens: Tensor, targets: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Mean negative log likelihood of targets (T, B) in nats per token, and the new state."""
        dropped, _, state = self.features(tokens, state)
        return self.nll(dropped, targets), state

    def embed(self, x: Tensor) -> Tensor:
        """Token ids or features to vectors; of a word, what is a vector already passes through."""
        known = x.is_floating_point() and isinstance(self.encoder, nn.Embedding)
        embedded: Tensor = x if known else self.encoder(x)
        return embedded

    def dropped_embedding(self, x: Tensor, p: float) -> Tensor:
        """Vectors of ids (T, B) or features (T, B, F), whole words or features dropped."""
        if isinstance(self.encoder, nn.Embedding):
            return embedding_dropout(self.encoder.weight, x, p, self.training)
        embedded: Tensor = self.encoder(locked_dropout(x, p, self.training))
        return embedded

    def regularised(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs (T, B, O), the activation penalty, and the state: what a task trains by."""
        dropped, raw, state = self.features(inputs, state)
        return self.logits(dropped), activation_penalty(dropped, raw, self.ar, self.tar), state

    @property
    def tied(self) -> bool:
        """Whether words have the same vectors as input and as output."""
        return self.decoder.weight is self.encoder.weight

    def embedding_places(self, *below: str) -> tuple[Place, ...]:
        """Where the embedding's units stand; they send to the weights `below`, of the bottom layer."""
        words = isinstance(self.encoder, nn.Embedding)
        own: tuple[Place, ...] = (Place("encoder.weight", 1),)
        if not words:
            own = (Place("encoder.weight", 0), Place("encoder.bias", 0))
        if self.tied:  # the column of a unit that the decoder does not read is an input of 0
            return (*(replace(p, sends=True) for p in own), *(Place(name, 1) for name in below))
        return (*own, *(Place(name, 1, sends=True) for name in below))


@dataclass(frozen=True)
class LayerWeights:
    """Names of a layer's weights: `rows` by the first row of each gate, among them those that read the
    layer's own past (`recurrent`) and the layer below (`inputs`).
    """

    size: int
    rows: Mapping[str, tuple[int, ...]]
    recurrent: tuple[str, ...]
    inputs: tuple[str, ...]


def stack_units(model: LanguageModel, layers: Sequence[LayerWeights]) -> dict[str, Units]:
    """Units of the embedding and of every layer, the top one read by the decoder.

    Where decoder and embedding are tied, the top layer's units are the embedding's.
    """
    found = {}
    bottom = model.embedding_places(*layers[0].inputs)
    for index, layer in enumerate(layers):
        top = index == len(layers) - 1
        above = ("decoder.weight",) if top else layers[index + 1].inputs
        places = [Place(name, 0, starts) for name, starts in layer.rows.items()]
        places += [Place(name, 1, sends=True) for name in layer.recurrent]
        if top and model.tied:
            places += bottom
        else:
            places += [Place(name, 1, sends=True) for name in above]
        found[f"layer {index}"] = Units(layer.size, tuple(places))
    if model.tied:
        return found
    return {"embedding": Units(model.encoder.weight.shape[bottom[0].dim], bottom), **found}


def kept_sizes(kept: Mapping[str, Tensor]) -> list[int]:
    """How many units of each layer stay, bottom first."""
    return [int(units.sum()) for name, units in kept.items() if name.startswith("layer ")]


def gate_starts(gates: int, size: int, first: int = 0) -> tuple[int, ...]:
    """First row of each of so many stacked gates."""
    return tuple(range(first, first + gates * size, size))


def layer_sizes(hidden: int | Sequence[int], layers: int, option: str = "hidden") -> list[int]:
    """Widths of layers, from one for all or one for each; raises PluginError that names the option."""
    if isinstance(hidden, int):
        return [hidden] * layers
    if len(hidden) != layers:
        raise PluginError(f"model.{option} has {len(hidden)} widths for {layers} layers")
    return list(hidden)


def memory_parts(sizes: list[int]) -> tuple[StatePart, ...]:
    """State of stacked layers that carry h and c: (h_0, c_0, h_1, c_1, …)."""
    return tuple(
        part
        for layer, size in enumerate(sizes)
        for part in (StatePart(layer, "hidden", size), StatePart(layer, "memory", size))
    )


def hidden_parts(sizes: list[int]) -> tuple[StatePart, ...]:
    """State of stacked layers that carry h alone: (h_0, h_1, …)."""
    return tuple(StatePart(layer, "hidden", size) for layer, size in enumerate(sizes))


def same_gates(module: nn.Module, parts: tuple[str, ...], gates: Gates) -> Mapping[str, Gates]:
    """Give the same gates to every parameter whose full name contains one of `parts`."""
    return {
        name: gates for name, _ in module.named_parameters() if any(part in name for part in parts)
    }


def stack_state(state: State, kinds: int) -> tuple[Tensor, ...]:
    """Flat state parts (B, H) to one tensor (layers, B, H) a kind, as torch's stacks want them."""
    return tuple(torch.stack(state[kind::kinds]) for kind in range(kinds))


def flat_state(stacked: tuple[Tensor, ...]) -> State:
    """Undo `stack_state`: (layers, B, H) tensors to (h_0, c_0, h_1, c_1, …)."""
    return tuple(part for layer in zip(*stacked, strict=True) for part in layer)
