"""Language models of residual blocks: a norm and a recurrence, a norm and a feed-forward layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from hyperprune.builtin.models.language_model import LanguageModel, hidden_parts
from hyperprune.layers.mixers import LinearMixer, Mixer, RMSNorm
from hyperprune.lyapunov.tangent import LayerTangent, Scaled, StateKind
from hyperprune.model import Gates, State


class Block(nn.Module):
    """x ← x + drop(mixer(norm(x))), then x ← x + drop(W₂ gelu(W₁ norm(x))) where it has that part."""

    def __init__(self, mixer: Mixer, width: int, expansion: int) -> None:
        super().__init__()
        self.norm, self.mixer = RMSNorm(width), mixer
        self.forward_norm = RMSNorm(width) if expansion else None
        self.up = nn.Linear(width, expansion * width) if expansion else None
        self.down = nn.Linear(expansion * width, width) if expansion else None

    def forward(self, x: Tensor, h: Tensor, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """Inputs (T, B, E) and state (B, n) to outputs (T, B, E) and the next state."""
        y, h = self.mixer(self.norm(x), h)
        x = x + functional.dropout(y, dropout, self.training)
        if self.forward_norm is not None and self.up is not None and self.down is not None:
            y = self.down(functional.gelu(self.up(self.forward_norm(x))))
            x = x + functional.dropout(y, dropout, self.training)
        return x, h


class ResidualLM(LanguageModel):
    """Embedding → dropout → blocks → norm → dropout → decoder.

    Lyapunov state: a mixer's own, a layer each; "full" and "hidden" are the same. Norms and projections lie
    between layers and are in no layer's own block.
    """

    def __init__(
        self,
        vocabulary: int,
        make: Callable[[], Mixer],
        *,
        width: int,
        layers: int,
        expansion: int,
        dropout: float,
        tied: bool,
        init_range: float,
    ) -> None:
        super().__init__(vocabulary, width, width, tied=tied, init_range=init_range)
        self.blocks = nn.ModuleList(Block(make(), width, expansion) for _ in range(layers))
        self.norm, self.dropout = RMSNorm(width), dropout
        self.state_parts = hidden_parts([block.mixer.size for block in self._blocks()])

    def gates(self) -> Mapping[str, Gates]:
        """What the rows of a mixer's stacked weights are."""
        found: dict[str, Gates] = {}
        for name, parameter in self.named_parameters():
            block, _, rest = name.removeprefix("blocks.").partition(".mixer.")
            if rest.startswith("stacked.") or (rest == "recurrent" and parameter.dim() == 2):
                found[name] = self._blocks()[int(block)].mixer.gates
        return found

    def features(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Outputs for tokens (T, B): dropped and undropped, both (T, B, E), and the new state."""
        x = functional.dropout(self.embed(tokens), self.dropout, self.training)
        x, new = self._run(x, state, self.dropout)
        return functional.dropout(x, self.dropout, self.training), x, new

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of every block in evaluation mode: x_t is ids (B,) or inputs (B, E)."""
        return self._run(self.embed(x_t)[None], state, 0.0)[1]

    def _run(self, x: Tensor, state: State, dropout: float) -> tuple[Tensor, State]:
        new = []
        for block, h in zip(self._blocks(), state, strict=True):
            x, h = block(x, h, dropout)
            new.append(h)
        return self.norm(x), tuple(new)

    def _blocks(self) -> Sequence[Block]:
        return self.blocks  # type: ignore[return-value]


class LinearLM(ResidualLM):
    """Blocks whose recurrences are linear in their state: exponents are means of ln |a_t|."""

    def tangent(
        self, inputs: Tensor, state: State, kind: StateKind
    ) -> tuple[list[LayerTangent], State]:
        """How much every step scales what a layer carries: see `hyperprune.lyapunov.tangent`."""
        x, tangents, new = self.embed(inputs), list[LayerTangent](), list[Tensor]()
        for layer, (block, h) in enumerate(zip(self._blocks(), state, strict=True)):
            assert isinstance(block.mixer, LinearMixer)
            moduli = block.mixer.moduli(block.norm(x))
            tangents.append(Scaled(layer, moduli, block.mixer.angles))
            x, h = block(x, h)
            new.append(h)
        return tangents, tuple(new)
