"""Does moving the weights help? Static against dynamic sparse training on Penn Treebank.

    HYPERPRUNE_DATA=… python benchmarks/ptb_static_vs_dynamic.py

A stacked LSTM at sparsity 0.67, ten epochs, three seeds a side. Dynamic is magnitude removal, random
growth, no redistribution, an update an epoch; static has the same first masks, weights and data order,
and no update. Both train by SNT-ASGD.

The defaults fit half an hour on one free core: a quarter of the training text, hidden size 128, and
the 2,000 most frequent words (the others are <unk>, so perplexities are not Penn Treebank's). With
all 10,000 words nine tenths of so small a network would be embedding and decoder; with 2,000 a third of
the masked weights is recurrent, against half in the 2 × 1500 network of the literature. `--words 0
--share 1 --hidden 650` is the whole task. Finished trainings are kept in the results file, so a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from hardware import processor
from torch import Tensor

from hyperprune.builtin.tasks.language import LanguageModelling
from hyperprune.corpus import Corpus
from hyperprune.optim import build_optimizer
from hyperprune.plugins import registry
from hyperprune.runtime.seeds import seeded
from hyperprune.sparsity import SparseTraining
from hyperprune.task import Cut
from hyperprune.training.trainer import Trainer

TARGET = Path(__file__).parent / "results" / "ptb_static_vs_dynamic.json"
SEEDS = (1, 2, 3)
SIDES = {"static": "never", "dynamic": "epoch"}
EPOCHS, SPARSITY, REMOVAL_RATE, DROPOUT = 10, 0.67, 0.5, 0.2
LR, CLIP, BATCH, BPTT = 10.0, 0.25, 10, 35
INIT = 0.5
"""Embedding and decoder start in ±INIT: at ±0.1 a third of 128 weights hardly passes a signal on."""


def frequent(corpus: Corpus, words: int) -> tuple[Tensor, Tensor, int]:
    """Training and validation text over the most frequent words; all others become <unk>."""
    if not words:
        return corpus.train, corpus.valid, len(corpus.vocabulary)
    unknown = corpus.vocabulary.index("<unk>")
    counts = torch.bincount(corpus.train, minlength=len(corpus.vocabulary))
    counts[unknown] = counts.max() + 1
    kept = counts.argsort(descending=True, stable=True)[:words]
    new = torch.zeros(len(corpus.vocabulary), dtype=torch.int64)  # <unk> is 0
    new[kept] = torch.arange(words)
    return new[corpus.train], new[corpus.valid], words


def train(
    side: str, seed: int, corpus: Corpus, words: int, share: float, hidden: int
) -> dict[str, Any]:
    """Train one network; its validation perplexity after each epoch."""
    text, valid, vocabulary = frequent(corpus, words)
    text = text[: round(share * text.numel())]
    build = registry().bind(
        "model", "stacked_lstm", {"hidden": hidden, "dropout": DROPOUT, "init_range": INIT}
    )
    with seeded(seed, torch.device("cpu")):
        model = build(vocabulary)
    optimizer = build_optimizer("snt_asgd", model, lr=LR, weight_decay=1.2e-6)
    sparse = SparseTraining(
        model,
        optimizer,
        density=1 - SPARSITY,
        init_scale="none",
        removal="magnitude",
        growth="random",
        redistribution="none",
        removal_rate=REMOVAL_RATE,
        seed=seed,
    )
    trainer = Trainer(
        model,
        optimizer,
        LanguageModelling(
            Corpus("ptb", tuple(map(str, range(vocabulary))), text, valid, valid),
        ),
        cut=Cut(BATCH, BPTT),
        epochs=EPOCHS,
        clip=CLIP,
        seed=seed,
        sparse=sparse,
        update=SIDES[side],
        eval_batch=40,
    )
    curve, start = [], time.process_time()
    for _ in range(EPOCHS):
        curve.append(round(math.exp(trainer.run_epoch().valid_loss), 2))
        print(f"  {side} seed {seed} epoch {len(curve)}: {curve[-1]}", flush=True)
    topology = sparse.topology()
    return {
        "validation_perplexity": curve,
        "averaging_at_the_end": optimizer.averaging,
        "active": topology.active,
        "masked": topology.size,
        "exploration": round(topology.exploration, 4),
        "steps": sparse.steps,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def summary(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of the last epoch's perplexities, and who won seed by seed."""
    last = {
        side: [runs[f"{side} {seed}"]["validation_perplexity"][-1] for seed in SEEDS]
        for side in SIDES
    }
    gains = [s - d for s, d in zip(last["static"], last["dynamic"], strict=True)]
    return {
        **{f"{side}_mean": round(statistics.mean(values), 2) for side, values in last.items()},
        **{f"{side}_sd": round(statistics.stdev(values), 2) for side, values in last.items()},
        "gain_by_seed": [round(gain, 2) for gain in gains],
        "gain_mean": round(statistics.mean(gains), 2),
        "gain_standard_error": round(statistics.stdev(gains) / len(gains) ** 0.5, 2),
        "dynamic_better_in": f"{sum(gain > 0 for gain in gains)} of {len(gains)} seeds",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Static against dynamic sparse training.")
    parser.add_argument("--words", type=int, default=2000, help="vocabulary; 0 is all of it")
    parser.add_argument("--share", type=float, default=0.25, help="of the training text")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--target", type=Path, default=TARGET, help="results file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    root = os.environ.get("HYPERPRUNE_DATA")
    corpus = registry().bind("corpus", "ptb")(Path(root) if root else None)
    settings = {
        **{"words": arguments.words, "share": arguments.share, "hidden": arguments.hidden},
        **{"layers": 2, "epochs": EPOCHS, "sparsity": SPARSITY, "removal_rate": REMOVAL_RATE},
        **{"lr": LR, "clip": CLIP, "batch": BATCH, "bptt": BPTT, "dropout": DROPOUT},
        "init_range": INIT,
    }
    record: dict[str, Any] = {"settings": settings, "runs": {}}
    if arguments.target.exists():
        found = json.loads(arguments.target.read_text())
        record = found if found["settings"] == settings else record
    record |= {"date": datetime.now(UTC).date().isoformat(), "processor": processor()}
    record |= {"torch": torch.__version__, "threads": 1}
    for seed in SEEDS:
        for side in SIDES:
            if f"{side} {seed}" not in record["runs"]:
                record["runs"][f"{side} {seed}"] = train(
                    side, seed, corpus, arguments.words, arguments.share, arguments.hidden
                )
                arguments.target.write_text(json.dumps(record, indent=2) + "\n")
    record["summary"] = summary(record["runs"])
    arguments.target.write_text(json.dumps(record, indent=2) + "\n")
    for key, value in record["summary"].items():
        print(f"{key:<22} {value}")


if __name__ == "__main__":
    main()
