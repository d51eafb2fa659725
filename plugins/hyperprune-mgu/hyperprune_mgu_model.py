"""The network, apart from its factory so that listing plugins does not import torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.model import Gates, RecurrentLM, State, StatePart

GATES = ("forget", "candidate")


class MinimalGatedUnit(RecurrentLM):
    """Embedding → dropout → layers with dropout between them → dropout → linear decoder."""

    def __init__(self, vocabulary: int, *, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.state_parts = tuple(StatePart(layer, "hidden", hidden) for layer in range(layers))
        self.dropout = dropout
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.from_input = nn.ModuleList(nn.Linear(hidden, 2 * hidden) for _ in range(layers))
        self.from_hidden = nn.ParameterList(
            nn.Parameter(torch.empty(2 * hidden, hidden).uniform_(-1, 1) / hidden**0.5)
            for _ in range(layers)
        )
        self.decoder = nn.Linear(hidden, vocabulary)

    def gates(self) -> Mapping[str, Gates]:
        """Forget gate above candidate, in every recurrent weight."""
        names = (name for name, _ in self.named_parameters())
        return {name: GATES for name in names if name.startswith("from_")}

    def cell(self, layer: int, x: Tensor, h: Tensor) -> Tensor:
        """One layer, one step: input x and state h, both (B, H), to the new state (B, H)."""
        x_f, x_c = self.from_input[layer](x).chunk(2, dim=1)
        u_f, u_c = self.from_hidden[layer].chunk(2)  # (H, H) each
        f = torch.sigmoid(x_f + h @ u_f.t())
        candidate = torch.tanh(x_c + (f * h) @ u_c.t())
        return (1 - f) * h + f * candidate

    def step(self, x_t: Tensor, state: State) -> State:
        """One step in evaluation mode: x_t is ids (B,) or inputs (B, H)."""
        x = x_t if x_t.is_floating_point() else self.embedding(x_t)
        new = []
        for layer, h in enumerate(state):
            x = self.cell(layer, x, h)
            new.append(x)
        return tuple(new)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Map tokens (T, B) to logits (T, B, V), and the state after the last."""
        x = self.embedding(tokens)  # (T, B, H)
        new = []
        for layer, h in enumerate(state):
            outputs = []
            for x_t in functional.dropout(x, self.dropout, self.training):
                h = self.cell(layer, x_t, h)
                outputs.append(h)
            x = torch.stack(outputs)
            new.append(h)
        return self.decoder(functional.dropout(x, self.dropout, self.training)), tuple(new)
