"""The newer cells beside an LSTM of as many weights: perplexity from several seeds, and time a token.

python benchmarks/cells.py [SEEDS [EPOCHS [FRACTION]]]     # writes benchmarks/results/cells.md

Dense networks of two layers on a part of the Penn Treebank (in HYPERPRUNE_DATA), all at one learning
rate. The text is cut into 256 byte-pair pieces: with 10,000 words nearly all of a network this small would be
its decoder. Sizes are chosen so that the weights beside embedding and decoder
are as many as the LSTM's. Times are of the processor, in one thread.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from hyperprune.builtin.models import MODELS
from hyperprune.corpus.load import load_corpus
from hyperprune.recipe import loads
from hyperprune.training.build import build_trainer, load_task

RESULT = Path(__file__).resolve().parent / "results" / "cells.md"
WIDTH, VOCABULARY = 64, 256
BATCH, BPTT = 20, 70
COMMON: dict[str, dict[str, Any]] = {
    "stacked_lstm": {"layers": 2, "embedding": WIDTH, "dropout": 0.1},
    "min_gru": {"layers": 2, "embedding": WIDTH, "expansion": 2, "conv": 0, "dropout": 0.1},
    "min_lstm": {"layers": 2, "embedding": WIDTH, "expansion": 2, "conv": 0, "dropout": 0.1},
    "lru": {"layers": 2, "embedding": WIDTH, "expansion": 2, "conv": 0, "dropout": 0.1},
    "gated_linear": {
        "layers": 2,
        "embedding": WIDTH,
        "expansion": 0,
        "conv": 0,
        "heads": 4,
        "dropout": 0.1,
    },
    "mlstm": {
        "layers": 2,
        "embedding": WIDTH,
        "expansion": 0,
        "conv": 0,
        "heads": 4,
        "dropout": 0.1,
    },
    "slstm": {
        "layers": 2,
        "embedding": WIDTH,
        "expansion": 2,
        "conv": 0,
        "heads": 4,
        "dropout": 0.1,
    },
}
RATE = 0.01


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
    root: str, name: str, hidden: int, seed: int, epochs: int, part: float
) -> tuple[float, float]:
    """Lowest validation perplexity a piece, and processor microseconds a piece of training."""
    options = "\n".join(f"{k} = {v}" for k, v in {"hidden": hidden, **COMMON[name]}.items())
    recipe = loads(
        f"""
        seed = {seed}
        [data]
        corpus = "bpe"
        vocabulary = {VOCABULARY}
        root = "{root}"
        train_fraction = {part}
        eval_fraction = 0.1
        [model]
        name = "{name}"
        {options}
        [train]
        epochs = {epochs}
        optimizer = "adam"
        lr = {RATE}
        batch = {BATCH}
        bptt = {BPTT}
        threads = 1
        """,
        "cells.toml",
    )
    trainer = build_trainer(recipe, load_task(recipe), sparse=False)
    losses, spent = list[float](), 0.0
    for _ in range(epochs):
        began = time.process_time()
        losses.append(trainer.run_epoch().valid_loss)
        spent += time.process_time() - began
    return math.exp(min(losses)), 1e6 * spent / (epochs * load_corpus(recipe.data).train.numel())


def main(seeds: int = 3, epochs: int = 3, part: float = 0.015) -> None:
    """Train, say, and write down after every network, so that a stop loses one."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        for split in ("train", "valid", "test"):
            text = Path(os.environ["HYPERPRUNE_DATA"]) / "ptb" / f"ptb.{split}.txt"
            shutil.copy(text, Path(root) / f"{split}.txt")
        compare(root, seeds, epochs, part)


def compare(root: str, seeds: int, epochs: int, part: float) -> None:
    """Every network from every seed; what is known so far is written after each."""
    hidden = sizes()
    found = {name: list[float]() for name in COMMON}
    times = {name: list[float]() for name in COMMON}
    for seed in range(1, seeds + 1):
        for name in COMMON:
            perplexity, spent = trained(root, name, hidden[name], seed, epochs, part)
            found[name].append(perplexity)
            times[name].append(spent)
            print(name, seed, f"{perplexity:.2f}", f"{spent:.1f} µs", flush=True)
            RESULT.write_text(table(hidden, found, times, epochs, part))


def table(
    hidden: dict[str, int],
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
        f"networks of two layers, Adam, {part:.1%} of the Penn Treebank in {VOCABULARY} byte-pair "
        f"pieces, {epochs} epochs of {BPTT} steps × {BATCH}; lowest validation perplexity a piece, mean "
        f"and range over seeds; the learning rate is {RATE}. Weights are those beside embedding and "
        "decoder. Pieces a second of the processor, in one thread, while training: "
        "the median of the seeds, and as a share of the LSTM's.",
        "",
        "| model | hidden | weights | seeds | perplexity | against the LSTM | pieces/s |",
        "|---|---|---|---|---|---|---|",
    ]
    base, pace = found["stacked_lstm"], times["stacked_lstm"]
    for name, values in found.items():
        if not values:
            continue
        mean = statistics.mean(values)
        gap = mean - statistics.mean(base[: len(values)])
        spent = statistics.median(times[name])
        speed = f"{1e6 / spent:,.0f} ({statistics.median(pace) / spent:.2f} ×)"
        spread = f"{mean:.1f} ({min(values):.1f}–{max(values):.1f})"
        cells = (
            f"`{name}`", hidden[name], f"{weights(name, hidden[name]):,}", len(values),
            spread, f"{gap:+.1f}", speed,
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    kinds = (int, int, float)
    main(*(kind(word) for kind, word in zip(kinds, sys.argv[1:], strict=False)))
