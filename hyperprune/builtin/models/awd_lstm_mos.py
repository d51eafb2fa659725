"""AWD-LSTM with a mixture of softmaxes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.builtin.models.language_model import (
    LanguageModel,
    gate_starts,
    kept_sizes,
    layer_sizes,
    memory_parts,
    same_gates,
)
from hyperprune.layers.cells import LSTM_GATES, lstm_step
from hyperprune.layers.dropout import Dropouts, embedding_dropout, locked_dropout, weight_drop
from hyperprune.layers.mixture import at_least_float32, mixture_log_probabilities, mixture_nll
from hyperprune.lyapunov.tangent import LayerTangent, StateKind
from hyperprune.lyapunov.tangent.cells import lstm_layer
from hyperprune.model import Gates, Place, State, Units


class AWDLSTM(LanguageModel):
    """Weight-dropped LSTM (Merity et al. 2018, arXiv 1708.02182), layers of their own widths.

    Dropouts: whole words of the embedding; inputs, layers and outputs locked over time; single
    hidden-to-hidden weights (weight-drop), redrawn for each segment. Evaluation uses the raw
    weights. Layers run on torch's fused kernel with the dropped weights.

    Lyapunov state: h and c of every layer. "full" has twice as many exponents as the layers have
    units, "hidden" as many as they have units (c carried, but held fixed in the derivative).
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        embedding: int,
        hidden: int | Sequence[int],
        last: int,
        layers: int,
        output: int,
        dropouts: Dropouts,
        ar: float,
        tar: float,
        tied: bool,
        init_range: float,
    ) -> None:
        super().__init__(
            vocabulary, embedding, output, tied=tied, init_range=init_range, ar=ar, tar=tar
        )
        sizes = [*layer_sizes(hidden, layers - 1), last]
        inputs = [embedding, *sizes[:-1]]
        self.layers = nn.ModuleList(
            nn.LSTM(wide, size) for wide, size in zip(inputs, sizes, strict=True)
        )
        self.dropouts = dropouts
        self.state_parts = memory_parts(sizes)

    def stack(self) -> list[nn.LSTM]:
        """The layers, bottom first."""
        return cast("list[nn.LSTM]", list(self.layers))

    def gates(self) -> Mapping[str, Gates]:
        """Gates of the LSTM's weights and biases, in torch's order."""
        return same_gates(self, ("layers.",), LSTM_GATES)

    def features(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs for tokens (T, B): dropped and undropped, both (T, B, H), and the new state."""
        drop = self.dropouts
        x = embedding_dropout(self.encoder.weight, tokens, drop.embedding, self.training)
        x = locked_dropout(x, drop.input, self.training)  # (T, B, E)
        raw, new = x, []
        for index, layer in enumerate(self.stack()):
            h, c = state[2 * index : 2 * index + 2]
            raw, h, c = self._run(layer, x, h, c)
            new += [h, c]
            last = index == len(self.layers) - 1
            x = locked_dropout(raw, drop.output if last else drop.hidden, self.training)
        return x, raw, tuple(new)

    def _run(
        self, layer: nn.LSTM, x: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        if not self.training or self.dropouts.weight == 0:
            raw, (h_n, c_n) = layer(x, (h[None], c[None]))
            return raw, h_n[0], c_n[0]
        w_x, w_h, b_x, b_h = layer.parameters()
        weights = [w_x, weight_drop(w_h, self.dropouts.weight), b_x, b_h]
        with warnings.catch_warnings():  # cuDNN copies the weights together, as it must here
            warnings.filterwarnings("ignore", message="RNN module weights are not part")
            raw, h_n, c_n = torch.lstm(
                x, (h[None], c[None]), weights, True, 1, 0.0, True, False, False
            )
        return raw, h_n[0], c_n[0]

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every layer in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        x, new = self.embed(x_t), []
        for index, layer in enumerate(self.stack()):
            w_x, w_h, b_x, b_h = layer.parameters()
            h, c = lstm_step(x, state[2 * index], state[2 * index + 1], w_x, w_h, b_x + b_h)
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
            x, carried, tangent = lstm_layer(index, x, h, c, *layer.parameters(), kind=kind)
            tangents.append(tangent)
            new += carried
        return tangents, tuple(new)


class AWDLSTMMoS(AWDLSTM):
    """AWD-LSTM whose output is a mixture of softmaxes (Yang et al. 2018, arXiv 1711.03953).

    With h the last layer's dropped output: π = softmax(W_p h), H_k = tanh(W_k h + b_k), and
    P = Σ_k π_k softmax(E · drop(H_k) + b), by logsumexp; the drop is locked over time.

    Lyapunov state: as of `AWDLSTM`; the mixture carries none.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        embedding: int,
        last: int,
        experts: int,
        latent: int = 0,
        hidden: int | Sequence[int],
        layers: int,
        dropouts: Dropouts,
        ar: float,
        tar: float,
        tied: bool,
        init_range: float,
    ) -> None:
        super().__init__(
            vocabulary,
            embedding=embedding,
            hidden=hidden,
            last=last,
            layers=layers,
            output=latent or embedding,
            dropouts=dropouts,
            ar=ar,
            tar=tar,
            tied=tied,
            init_range=init_range,
        )
        self.prior = nn.Linear(last, experts, bias=False)
        self.latent = nn.Linear(last, experts * (latent or embedding))
        self.experts = experts

    def units(self) -> Mapping[str, Units]:
        """Where the units of embedding, layers and latents stand; tied latents are the embedding's.

        A latent's unit has a row for each expert, since one column of the decoder reads them all.
        """
        embedding = self.encoder.weight.shape[1]
        found = {}
        for index, layer in enumerate(self.stack()):
            read, own, *biases = (f"layers.{index}.{name}" for name, _ in layer.named_parameters())
            starts = gate_starts(4, layer.hidden_size)
            above = [f"layers.{index + 1}.weight_ih_l0"]
            if index == len(self.layers) - 1:
                above = ["prior.weight", "latent.weight"]
            rows = tuple(Place(name, 0, starts) for name in (read, own, *biases))
            sends = tuple(Place(name, 1, sends=True) for name in (own, *above))
            found[f"layer {index}"] = Units(layer.hidden_size, rows + sends)
        below = self.embedding_places("layers.0.weight_ih_l0")
        width = self.decoder.weight.shape[1]
        starts = gate_starts(self.experts, width)
        latents = tuple(Place(f"latent.{part}", 0, starts) for part in ("weight", "bias"))
        if self.tied:
            return {"embedding": Units(embedding, below + latents), **found}
        decoder = Place("decoder.weight", 1, sends=True)
        return {
            "embedding": Units(embedding, below),
            "latent": Units(width, (*latents, decoder)),
            **found,
        }

    def narrowed(self, kept: Mapping[str, Tensor]) -> dict[str, Any]:
        """Settings of the network in which of each group's units those of a mask stay."""
        *hidden, last = kept_sizes(kept)
        found = {"hidden": hidden, "last": last, "embedding": int(kept["embedding"].sum())}
        return found if self.tied else {**found, "latent": int(kept["latent"].sum())}

    def mixture(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (T, B, K, E) and log mixture weights (T, B, K) of outputs (T, B, H)."""
        latents = locked_dropout(
            torch.tanh(self.latent(features)), self.dropouts.latent, self.training
        )
        log_prior = functional.log_softmax(at_least_float32(self.prior(features)), -1)
        return latents.view(*latents.shape[:-1], self.experts, -1), log_prior

    def logits(self, features: Tensor) -> Tensor:
        """Log-probabilities (T, B, V) of outputs (T, B, H); holds the logits of every expert."""
        latents, log_prior = self.mixture(features)
        return mixture_log_probabilities(latents, log_prior, self.decoder.weight, self.decoder.bias)

    def nll(self, features: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log likelihood of targets (T, B) in nats per token, memory-lean."""
        latents, log_prior = self.mixture(features)
        return mixture_nll(
            latents.flatten(0, 1),
            log_prior.flatten(0, 1),
            self.decoder.weight,
            self.decoder.bias,
            targets.flatten(),
        )
