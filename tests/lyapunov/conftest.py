"""Networks trained in the fixture: fresh ones hide every fault of a Lyapunov engine."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from hyperprune.builtin.models import gru, rnn, stacked_lstm

VOCABULARY = 12
BUILDS = {"lstm": stacked_lstm, "gru": gru, "rnn": rnn}


def text(steps: int, batch: int, seed: int) -> torch.Tensor:
    """A text to learn, (steps, batch): counts up or down by its last jump, which changes at times."""
    generator = torch.Generator().manual_seed(seed)
    jumps = torch.randint(1, 4, (steps, batch), generator=generator)
    keep = torch.rand(steps, batch, generator=generator) < 0.8
    for t in range(1, steps):
        jumps[t] = torch.where(keep[t], jumps[t - 1], jumps[t])
    return jumps.cumsum(0) % VOCABULARY


def train(kind: str, layers: int, hidden: int = 12, updates: int = 80) -> nn.Module:
    """Train one network until it predicts the text well above chance."""
    with torch.random.fork_rng():
        torch.manual_seed(layers)
        model = BUILDS[kind](
            VOCABULARY, hidden=hidden, embedding=8, layers=layers, dropout=0.0, init_range=0.3
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.5)
    tokens = text(26, 16, seed=1)
    for _ in range(updates):
        logits, _ = model(tokens[:-1], model.initial_state(16))
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.6  # chance is ln 12 = 2.5
    return model.double().eval()


@pytest.fixture(scope="session")
def trained() -> Callable[..., nn.Module]:
    """`trained(kind, layers)`: a trained network, made once a session."""
    made: dict[tuple[str, int], nn.Module] = {}

    def get(kind: str = "lstm", layers: int = 2) -> nn.Module:
        if (kind, layers) not in made:
            made[kind, layers] = train(kind, layers)
        return made[kind, layers]

    return get
