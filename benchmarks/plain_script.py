"""A sparse training step beside the dense one that a user would write by hand in PyTorch.

    python benchmarks/plain_script.py --models stacked_lstm --hidden 64,200 --write

The script: embedding, dropout, nn.LSTM (nn.GRU, nn.RNN), linear, cross entropy, clipping, SGD, in the
same precision. Ours: the shipped network of that kind with SNT-ASGD and 67 % of its weights masked. Both
in one process, turn about, in processor time (all threads'); ratios are of the minima, above 1 where
ours is faster. `--write` keeps each case in benchmarks/results/plain_script.json as it is found, and a
case that is there is not measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from hardware import processor
from models import BPTT, least
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.builtin.models import MODELS
from hyperprune.model import detach
from hyperprune.optim import build_optimizer
from hyperprune.sparsity import SparseTraining

WORDS, LAYERS, DROPOUT, CLIP = 10_000, 2, 0.2, 0.25
BARE: dict[str, type[nn.LSTM | nn.GRU | nn.RNN]] = {
    "stacked_lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
}
RESULTS = Path(__file__).parent / "results" / "plain_script.json"


def cast(precision: str) -> AbstractContextManager[Any]:
    """The context in which a step runs in a precision."""
    half = precision == "bfloat16"
    return torch.autocast("cpu", torch.bfloat16) if half else nullcontext()


class Script(nn.Module):
    """The network as one writes it by hand."""

    def __init__(self, bare: type[nn.LSTM | nn.GRU | nn.RNN], hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, hidden)
        self.rnn = bare(hidden, hidden, LAYERS, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.decoder = nn.Linear(hidden, WORDS)

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (T, B, V) of tokens (T, B), and the state."""
        x, state = self.rnn(self.dropout(self.embedding(tokens)), state)
        return self.decoder(self.dropout(x)), state


def by_hand(name: str, hidden: int, precision: str, text: Tensor) -> Callable[[], None]:
    """One step of the script."""
    model = Script(BARE[name], hidden).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=1.2e-6)
    state: list[Any] = [None]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with cast(precision):
            logits, after = model(text[:-1], state[0])
            loss = functional.cross_entropy(logits.flatten(0, 1), text[1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        pair = isinstance(after, tuple)
        state[0] = tuple(part.detach() for part in after) if pair else after.detach()

    return step


def ours(name: str, hidden: int, precision: str, text: Tensor) -> Callable[[], None]:
    """One step of sparse training."""
    model: Any = MODELS[name](WORDS, hidden=hidden, layers=LAYERS, dropout=DROPOUT).train()
    optimizer = build_optimizer("snt_asgd", model, lr=1.0, weight_decay=1.2e-6)
    sparse = SparseTraining(model, optimizer, density=0.33)
    state = [model.initial_state(text.shape[1])]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with cast(precision):
            loss, _, after = model.training_loss(text[:-1], text[1:], detach(state[0]))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        sparse.step(update=False)
        state[0] = detach(after)

    return step


def measure(name: str, hidden: int, precision: str, batch: int, turns: int) -> dict[str, Any]:
    """Processor seconds of a step of either side."""
    torch.manual_seed(1)
    text = torch.randint(WORDS, (BPTT + 1, batch))
    sides = {
        "script": by_hand(name, hidden, precision, text),
        "ours": ours(name, hidden, precision, text),
    }
    taken = least(sides, turns)
    return {
        "script (ms)": round(1e3 * taken["script"], 2),
        "ours (ms)": round(1e3 * taken["ours"], 2),
        "ratio": round(taken["script"] / taken["ours"], 2),
        "load": round(os.getloadavg()[0], 1),
    }


def kept() -> dict[str, Any]:
    """Cases that are known."""
    return json.loads(RESULTS.read_text("utf-8"))["cases"] if RESULTS.exists() else {}


def keep(cases: dict[str, Any]) -> None:
    """Write all that is known."""
    record = {
        "benchmark": "plain_script",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": processor(),
        "torch": torch.__version__,
        "cases": cases,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for option, default in (
        ("models", ",".join(BARE)),
        ("hidden", "64,200,650,1500"),
        ("precision", "float32,bfloat16"),
        ("batch", "20,5"),
        ("threads", "1,2"),
    ):
        parser.add_argument(f"--{option}", default=default)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    cases = kept() if given.write else {}
    listed = (given.threads, given.hidden, given.models, given.precision, given.batch)
    for threads, hidden, name, precision, batch in itertools.product(
        *(value.split(",") for value in listed)
    ):
        case = f"{name} 2×{hidden}, {precision}, batch {batch}, {threads} thread(s)"
        if case in cases:
            continue
        torch.set_num_threads(int(threads))
        cases[case] = measure(name, int(hidden), precision, int(batch), given.turns)
        print(case, cases[case], flush=True)
        if given.write:
            keep(cases)


if __name__ == "__main__":
    main()
