"""The newer cells beside an LSTM of as many weights: perplexity from several seeds, and time a token.

python benchmarks/cells.py [SEEDS [EPOCHS [FRACTION]]]     # writes benchmarks/results/cells.md

Dense networks of two layers on a part of the Penn Treebank, each at the best of two learning rates by the
first seed. Sizes are chosen so that the weights beside embedding and decoder are as many as the LSTM's.
Times are of the processor, in one thread, which what else the machine does moves little.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from hyperprune.builtin.models import MODELS
from hyperprune.corpus.load import load_corpus
from hyperprune.recipe import loads
from hyperprune.training.build import build_trainer

RESULT = Path(__file__).resolve().parent / "results" / "cells.md"
WIDTH, VOCABULARY = 64, 10
COMMON: dict[str, dict[str, Any]] = {
    "stacked_lstm": {"layers": 2, "embedding": WIDTH, "dropout": 0.1},
    "min_gru": {"layers": 2, "embedding": WIDTH, "expansion": 2, "dropout": 0.1},
    "min_lstm": {"layers": 2, "embedding": WIDTH, "expansion": 2, "dropout": 0.1},
    "lru": {"layers": 2, "embedding": WIDTH, "expansion": 2, "dropout": 0.1},
    "gated_linear": {"layers": 2, "embedding": WIDTH, "expansion": 0, "heads": 4, "dropout": 0.1},
    "mlstm": {"layers": 2, "embedding": WIDTH, "expansion": 0, "heads": 4, "dropout": 0.1},
    "slstm": {"layers": 2, "embedding": WIDTH, "expansion": 2, "heads": 4, "dropout": 0.1},
}
RATES = (0.003, 0.01)


def weights(name: str, hidden: int) -> int:
    """Weights beside embedding and decoder."""
    model = MODELS[name](VOCABULARY, hidden=hidden, **COMMON[name])
    ends = {id(p) for part in (model.encoder, model.decoder) for p in part.parameters()}
    return sum(p.numel() for p in model.parameters() if id(p) not in ends)


def sizes() -> dict[str, int]:
    """The `hidden` of each model whose weights come nearest to those of the LSTM."""
    aim = weights("stacked_lstm", WIDTH)
    choices = range(16, 200, 4)
    found = {n: min(choices, key=lambda h: abs(weights(n, h) - aim)) for n in COMMON}
    return found | {"stacked_lstm": WIDTH}


def trained(
    name: str, hidden: int, seed: int, rate: float, epochs: int, part: float
) -> tuple[float, float]:
    """Best validation perplexity, and processor microseconds a token of training."""
    options = "\n".join(f"{k} = {v}" for k, v in {"hidden": hidden, **COMMON[name]}.items())
    recipe = loads(
        f"""
        seed = {seed}
        [data]
        corpus = "ptb"
        train_fraction = {part}
        eval_fraction = 0.1
        [model]
        name = "{name}"
        {options}
        [train]
        epochs = {epochs}
        optimizer = "adam"
        lr = {rate}
        batch = 20
        bptt = 35
        threads = 1
        """,
        "cells.toml",
    )
    trainer = build_trainer(recipe, sparse=False)
    began, losses = time.process_time(), []
    for _ in range(epochs):
        losses.append(trainer.run_epoch().valid_loss)
    spent = time.process_time() - began
    return math.exp(min(losses)), 1e6 * spent / (epochs * load_corpus(recipe.data).train.numel())


def main(seeds: int = 3, epochs: int = 8, part: float = 0.05) -> None:
    """Train, say, and write down after every network, so that a stop loses one."""
    torch.set_num_threads(1)
    hidden = sizes()
    rates, found = {}, {name: list[float]() for name in COMMON}
    times = {name: list[float]() for name in COMMON}
    for seed in range(1, seeds + 1):
        for name in COMMON:
            tried = RATES if seed == 1 else (rates[name],)
            results = {r: trained(name, hidden[name], seed, r, epochs, part) for r in tried}
            rates[name] = min(results, key=lambda r: results[r][0])
            perplexity, spent = results[rates[name]]
            found[name].append(perplexity)
            times[name].append(spent)
            print(name, seed, rates[name], f"{perplexity:.2f}", f"{spent:.0f} µs", flush=True)
            RESULT.write_text(table(hidden, rates, found, times, epochs, part))


def table(
    hidden: dict[str, int],
    rates: dict[str, float],
    found: dict[str, list[float]],
    times: dict[str, list[float]],
    epochs: int,
    part: float,
) -> str:
    """The results as a page."""
    lines = [
        "# Newer cells beside an LSTM of as many weights",
        "",
        f"`python benchmarks/cells.py {max(map(len, found.values()))} {epochs} {part}`: dense "
        f"networks of two layers, Adam, {part:.0%} of the Penn Treebank, {epochs} epochs; lowest "
        "validation perplexity, mean and range over seeds. Weights are those beside embedding and "
        "decoder. Time is of the processor, in one thread, training, as a multiple of the LSTM's.",
        "",
        "| model | hidden | weights | rate | seeds | perplexity | against the LSTM | time a token |",
        "|---|---|---|---|---|---|---|---|",
    ]
    base, pace = found["stacked_lstm"], times["stacked_lstm"]
    for name, values in found.items():
        if not values:
            continue
        mean = statistics.mean(values)
        gap = mean - statistics.mean(base[: len(values)])
        ratio = statistics.median(times[name]) / statistics.median(pace)
        spread = f"{mean:.1f} ({min(values):.1f}–{max(values):.1f})"
        cells = (
            f"`{name}`", hidden[name], f"{weights(name, hidden[name]):,}", rates[name], len(values),
            spread, f"{gap:+.1f}", f"{ratio:.2f} ×",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    kinds = (int, int, float)
    main(*(kind(word) for kind, word in zip(kinds, sys.argv[1:], strict=False)))
