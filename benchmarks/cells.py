"""The newer cells beside an LSTM of as many weights: perplexity from several seeds, and time a token.

python benchmarks/cells.py [SEEDS [EPOCHS [FRACTION]]]     # writes benchmarks/results/cells.{json,md}

Dense networks of two layers on a part of the Penn Treebank (in HYPERPRUNE_DATA), three of them at the
better of two learning rates by the first seed. The text is cut into 256 byte-pair pieces: with 10,000 words
nearly all of a network this small would be its decoder. Sizes are chosen so that the weights beside
embedding and decoder are as many as the LSTM's, which is from one seed also trained up to eight times as
long: where that helps, it had not settled. Times are of the processor, in one thread, a cell and the LSTM
in turns. What is in the JSON file is not measured again.
"""

from __future__ import annotations

import json
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
from hyperprune.recipe import Recipe, loads
from hyperprune.training.build import build_trainer, load_task

RESULT = Path(__file__).resolve().parent / "results" / "cells.json"
WIDTH, VOCABULARY = 64, 256
BATCH, BPTT = 20, 35
SHARED = {"layers": 2, "embedding": WIDTH, "dropout": 0.1}
GATED = {**SHARED, "expansion": 2, "conv": 0}
COMMON: dict[str, dict[str, Any]] = {
    "stacked_lstm": SHARED,
    "min_gru": GATED,
    "min_lstm": GATED,
    "lru": GATED,
    "gated_linear": {**GATED, "expansion": 0, "heads": 4},
    "mlstm": {**GATED, "expansion": 0, "heads": 4},
    "slstm": {**GATED, "heads": 4},
}
LSTM = "stacked_lstm"
LONGER = (2, 4, 8)
"""How many times as long the LSTM is trained as well."""
RATE = 0.01
HIGHER = 0.03
TRIED = (LSTM, "min_gru", "min_lstm")
"""Models that seed 1 tries at both learning rates; the others are trained at `RATE`."""
TURNS, STEPS = 7, 12
"""Turns that a cell and the LSTM take, and training steps of each."""


def weights(name: str, hidden: int) -> int:
    """Weights beside embedding and decoder."""
    model = MODELS[name](VOCABULARY, hidden=hidden, **COMMON[name])
    ends = {id(p) for part in (model.encoder, model.decoder) for p in part.parameters()}
    return sum(p.numel() for p in model.parameters() if id(p) not in ends)


def sizes() -> dict[str, int]:
    """The `hidden` of each model whose weights come nearest to those of the LSTM."""
    aim = weights(LSTM, WIDTH)
    choices = range(16, 200, 4)
    found = {n: min(choices, key=lambda h: abs(weights(n, h) - aim)) for n in COMMON}
    return found | {LSTM: WIDTH}


def recipe_of(
    root: str, name: str, hidden: int, *, rate: float, seed: int, epochs: int, part: float
) -> Recipe:
    """One network's training."""
    options = "\n".join(f"{k} = {v}" for k, v in {"hidden": hidden, **COMMON[name]}.items())
    return loads(
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
        lr = {rate}
        schedule = "cosine"
        batch = {BATCH}
        bptt = {BPTT}
        threads = 1
        """,
        "cells.toml",
    )


def trained(recipe: Recipe) -> dict[str, Any]:
    """Lowest validation perplexity a piece, the epoch it was of, and how many there were."""
    trainer = build_trainer(recipe, load_task(recipe), sparse=False)
    losses = [trainer.run_epoch().valid_loss for _ in range(recipe.train.epochs)]
    best = min(losses)
    return {
        "perplexity": math.exp(best),
        "epoch": 1 + losses.index(best),
        "epochs": len(losses),
        "updates": trainer.global_step,
    }


def paces(hidden: dict[str, int], name: str) -> tuple[float, float]:
    """Pieces a second of training, of a cell and of the LSTM, which take turns: medians."""

    def steps(model: torch.nn.Module) -> float:
        tokens = torch.randint(VOCABULARY, (BPTT + 1, BATCH))
        began = time.process_time()
        for _ in range(STEPS):
            model.zero_grad()
            state = model.initial_state(BATCH)
            model.training_loss(tokens[:-1], tokens[1:], state)[0].backward()
        return STEPS * BPTT * BATCH / (time.process_time() - began)

    models = [MODELS[n](VOCABULARY, hidden=hidden[n], **COMMON[n]) for n in (name, LSTM)]
    turns = [[steps(model) for model in models] for _ in range(1 + TURNS)][1:]
    ratio = statistics.median(own / other for own, other in turns)
    return statistics.median(own for own, _ in turns), ratio


def main(seeds: int = 3, epochs: int = 4, part: float = 0.1) -> None:
    """Train, say, and write down after every network, so that a stop loses one."""
    torch.set_num_threads(1)
    about = {"seeds": seeds, "epochs": epochs, "part": part}
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    if known.get("about") != about:
        known = {"about": about, "unigram": 0.0, "runs": [], "paces": {}}
    with tempfile.TemporaryDirectory() as root:
        for split in ("train", "valid", "test"):
            text = Path(os.environ["HYPERPRUNE_DATA"]) / "ptb" / f"ptb.{split}.txt"
            shutil.copy(text, Path(root) / f"{split}.txt")
        compare(root, known, sizes())


def compare(root: str, known: dict[str, Any], hidden: dict[str, int]) -> None:
    """Every network from every seed, then its pace; what is known so far is written after each."""
    seeds, epochs, part = (known["about"][key] for key in ("seeds", "epochs", "part"))

    def run(name: str, rate: float, seed: int, times: int = 1) -> float:
        key = {"name": name, "rate": rate, "seed": seed, "times": times}
        for row in known["runs"]:
            if {k: row[k] for k in key} == key:
                return float(row["perplexity"])
        recipe = recipe_of(
            root, name, hidden[name], rate=rate, seed=seed, epochs=times * epochs, part=part
        )
        if not known["unigram"]:
            known["unigram"] = load_task(recipe).unigram()
        known["runs"].append({**key, **trained(recipe)})
        write(known, hidden)
        print(known["runs"][-1], flush=True)
        return float(known["runs"][-1]["perplexity"])

    for seed in range(1, seeds + 1):
        for name in COMMON:
            rate = min(
                (RATE, HIGHER) if name in TRIED else (RATE,), key=lambda rate: run(name, rate, 1)
            )
            run(name, rate, seed)
            for times in LONGER if name == LSTM and seed == 1 else ():
                run(name, rate, seed, times)
            if name not in known["paces"]:
                known["paces"][name] = paces(hidden, name)
    write(known, hidden)


def write(known: dict[str, Any], hidden: dict[str, int]) -> None:
    """What is known, and the page that tells it."""
    RESULT.write_text(json.dumps(known, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text(table(known, hidden))


def table(known: dict[str, Any], hidden: dict[str, int]) -> str:
    """The results as a page."""
    seeds, epochs, part = (known["about"][key] for key in ("seeds", "epochs", "part"))
    updates = known["runs"][0]["updates"]
    lines = [
        "# Newer cells beside an LSTM of as many weights",
        "",
        f"`python benchmarks/cells.py {seeds} {epochs} {part}`: dense networks of two layers without "
        f"convolutions, Adam, the learning rate falling to 0 as a cosine does, from {RATE}, or {HIGHER} "
        f"where seed 1 prefers it ({', '.join(TRIED)} were tried at both); {part:.0%} of the Penn Treebank "
        f"in {VOCABULARY} byte-pair pieces, {epochs} epochs, {updates:,} updates of {BPTT} steps × {BATCH}. "
        "Lowest validation perplexity a piece, mean and range over seeds; a unigram has "
        f"{known['unigram']:.1f}. Weights are those beside embedding and decoder. Pieces a second of the "
        "processor, in one thread, forward and backward, and as a share of the LSTM's, which took turns "
        "with it.",
        "",
        "| model | hidden | weights | learning rate | seeds | perplexity | against the LSTM | pieces/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    base = chosen(known, LSTM)
    for name, times in (*((LSTM, t) for t in (1, *LONGER)), *((n, 1) for n in COMMON if n != LSTM)):
        runs = chosen(known, name, times)
        if not runs:
            continue
        values = [run["perplexity"] for run in runs]
        gap = statistics.mean(values) / statistics.mean(r["perplexity"] for r in base) - 1
        pace, ratio = known["paces"].get(name, (0.0, 0.0))
        cells = (
            f"`{name}`" + f", {times} × as long" * (times > 1),
            hidden[name], f"{weights(name, hidden[name]):,}",
            runs[0]["rate"], len(runs),
            f"{statistics.mean(values):.2f} ({min(values):.2f}–{max(values):.2f})",
            f"{gap:+.1%}", f"{pace:,.0f} ({ratio:.2f} ×)" if pace and times == 1 else "",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def chosen(known: dict[str, Any], name: str, times: int = 1) -> list[dict[str, Any]]:
    """Runs of a model at its better learning rate."""
    own = [run for run in known["runs"] if run["name"] == name]
    first = [run for run in own if run["seed"] == 1 and run["times"] == 1]
    if not first:
        return []
    rate = min(first, key=lambda run: float(run["perplexity"]))["rate"]
    return [run for run in own if run["rate"] == rate and run["times"] == times]


if __name__ == "__main__":
    kinds = (int, int, float)
    main(*(kind(word) for kind, word in zip(kinds, sys.argv[1:], strict=False)))
