"""Networks of residual blocks: a norm and a recurrence, then a norm and a feed-forward layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from hyperprune.builtin.models.language_model import LanguageModel, kept_sizes, layer_sizes
from hyperprune.errors import PluginError
from hyperprune.layers.mixers import LinearMixer, Mixer
from hyperprune.layers.norms import RMSNorm
from hyperprune.lyapunov.tangent import LayerTangent, Scaled, StateKind
from hyperprune.model import Features, Gates, Place, State, Units


class Block(nn.Module):
    """x ← x + drop(mixer(norm(x))), then x ← x + drop(W₂ gelu(W₁ norm(x))), where there is an inner width."""

    def __init__(self, mixer: Mixer, width: int, inner: int) -> None:
        super().__init__()
        self.norm, self.mixer = RMSNorm(width), mixer
        self.forward_norm = RMSNorm(width) if inner else None
        self.up = nn.Linear(width, inner) if inner else None
        self.down = nn.Linear(inner, width) if inner else None

    def forward(self, x: Tensor, state: State, dropout: float = 0.0) -> tuple[Tensor, State]:
        """Inputs (T, B, E) and the mixer's state to outputs (T, B, E) and the next state."""
        y, after = self.mixer(self.norm(x), state)
        x = x + functional.dropout(y, dropout, self.training)
        if self.forward_norm is not None and self.up is not None and self.down is not None:
            y = self.down(functional.gelu(self.up(self.forward_norm(x))))
            x = x + functional.dropout(y, dropout, self.training)
        return x, after

    def units(self) -> dict[str, Units]:
        """Units within its two parts, by their parameters' names; its width is all blocks'."""
        found, own = {}, self.mixer.units()
        if own is not None:
            places = tuple(replace(p, weight=f"mixer.{p.weight}") for p in own.places)
            found["layer"] = replace(own, places=places)
        if self.up is not None:
            rows = (Place("up.weight", 0), Place("up.bias", 0))
            sent = Place("down.weight", 1, sends=True)
            found["feed-forward"] = Units(self.up.out_features, (*rows, sent))
        return found


class ResidualLM(LanguageModel):
    """Embedding → dropout → blocks → norm → dropout → decoder.

    Lyapunov state: a mixer's own, a layer each; "full" and "hidden" are the same. Norms, convolutions and
    projections read what a layer is given or what it shows, and are in no layer's own block.
    """

    def __init__(
        self,
        vocabulary: int | Features,
        make: Callable[[int, int], Mixer],
        *,
        hidden: int | Sequence[int],
        embedding: int,
        layers: int,
        expansion: int,
        feed_forward: int | Sequence[int] | None,
        dropout: float,
        tied: bool,
        init_range: float,
    ) -> None:
        sizes = layer_sizes(hidden, layers)
        width = embedding or sizes[-1]
        inner = expansion * width if feed_forward is None else feed_forward
        super().__init__(vocabulary, width, width, tied=tied, init_range=init_range)
        self.blocks = nn.ModuleList(
            Block(make(width, size), width, wide)
            for size, wide in zip(sizes, layer_sizes(inner, layers, "feed_forward"), strict=True)
        )
        self.norm, self.dropout = RMSNorm(width), dropout
        self.state_parts = tuple(
            part for layer, block in enumerate(self._blocks()) for part in block.mixer.parts(layer)
        )

    def gates(self) -> Mapping[str, Gates]:
        """What the rows of a mixer's stacked weights are."""
        found: dict[str, Gates] = {}
        for name, parameter in self.named_parameters():
            block, _, rest = name.removeprefix("blocks.").partition(".mixer.")
            if rest.startswith("stacked.") or (rest == "recurrent" and parameter.dim() == 2):
                found[name] = self._blocks()[int(block)].mixer.gates
        return found

    def units(self) -> Mapping[str, Units]:
        """Units within blocks; raises PluginError where there are none that could go.

        The width of the blocks is what all of them add to, and norms feel every unit of it.
        """
        found = {
            f"{part} {index}": replace(
                units,
                places=tuple(replace(p, weight=f"blocks.{index}.{p.weight}") for p in units.places),
            )
            for index, block in enumerate(self._blocks())
            for part, units in block.units().items()
        }
        if not found:
            raise PluginError(
                f"no unit of this network can go: those of {type(self._blocks()[0].mixer).__name__} are "
                "normed together, so that each is felt by the others, and its blocks share one width and "
                "have no feed-forward layer (model.expansion)"
            )
        return found

    def narrowed(self, kept: Mapping[str, Tensor]) -> dict[str, Any]:
        """Settings of the network in which of each group's units those of a mask stay."""
        inner = [
            int(units.sum()) for name, units in kept.items() if name.startswith("feed-forward ")
        ]
        sizes = kept_sizes(kept)
        return {
            "embedding": len(self.norm.weight),
            **({"hidden": sizes} if sizes else {}),
            **({"feed_forward": inner} if inner else {}),
        }

    def features(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs for tokens (T, B): dropped and undropped, both (T, B, E), and the new state."""
        x = functional.dropout(self.embed(tokens), self.dropout, self.training)
        x, new = self._run(x, state, self.dropout)
        return functional.dropout(x, self.dropout, self.training), x, new

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every block in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        return self._run(self.embed(x_t)[None], state, 0.0)[1]

    def _run(self, x: Tensor, state: State, dropout: float) -> tuple[Tensor, State]:
        new = list[Tensor]()
        for block, own in self._dealt(state):
            x, after = block(x, own, dropout)
            new += after
        return self.norm(x), tuple(new)

    def _blocks(self) -> Sequence[Block]:
        return self.blocks  # type: ignore[return-value]

    def _dealt(self, state: State) -> Iterator[tuple[Block, State]]:
        """Every block with its own part of the state."""
        parts = iter(state)
        for block in self._blocks():
            yield block, tuple(islice(parts, len(block.mixer.parts(0))))


class LinearLM(ResidualLM):
    """Blocks whose recurrences are linear in their state: exponents are means of ln |a_t|."""

    def tangent(
        self, inputs: Tensor, state: State, kind: StateKind
    ) -> tuple[list[LayerTangent], State]:
        """How much every step scales what a layer carries: see `hyperprune.lyapunov.tangent`."""
        x, tangents, new = self.embed(inputs), list[LayerTangent](), list[Tensor]()
        for layer, (block, own) in enumerate(self._dealt(state)):
            assert isinstance(block.mixer, LinearMixer)
            moduli = block.mixer.moduli(block.norm(x), own)
            tangents.append(Scaled(layer, moduli, block.mixer.angles))
            x, after = block(x, own)
            new += after
        return tangents, tuple(new)
