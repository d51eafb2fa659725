"""Which settings to begin with: what holds sparse networks back against their dense twin.

    python benchmarks/pilots.py scale parts levers           # studies, in this order
    HYPERPRUNE_DATA=… python benchmarks/pilots.py ptb_scale
    python benchmarks/pilots.py --table                      # what is known, as in docs/settings.md

A study is a list of settings, each trained at several sparsities, growths and seeds from the recipe
of an LSTM 2×64 on Python's help topics (or a quarter of the Penn Treebank). Every finished training
is kept in the results file under a key that says all of it, so a study may be stopped and goes on
where it was.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from hardware import processor
from starts import isometric, like_dense

from hyperprune.errors import Diverged
from hyperprune.recipe import Recipe, load_recipe
from hyperprune.sparsity.scale import compensation
from hyperprune.training.build import build_trainer, load_task
from hyperprune.training.trainer import Trainer

TARGET = Path(__file__).parent / "results" / "pilots.json"
ROOT = Path(__file__).parent.parent

BASES: dict[str, tuple[str, ...]] = {
    # What the quickstart was when these pilots began, and their results are kept by its name.
    "quickstart": (
        "train.epochs=8",
        "prune.init=er",
        "prune.removal_rate=0.5",
        "train.threads=1",
    ),
    "ptb": (
        *("data.corpus=ptb", "data.train_fraction=0.25", "data.eval_fraction=0.25"),
        *("model.embedding=128", "model.hidden=128", "model.dropout=0.2", "model.init_range=0.3"),
        *("train.epochs=4", "train.lr=20", "train.batch=10", "train.bptt=35", "train.threads=1"),
        *("train.precision=bfloat16", "prune.init=er", "prune.removal_rate=0.5"),
    ),
}

Start = Callable[[Trainer, Recipe], None]


@dataclass(frozen=True)
class Setting:
    """What is tried: overrides of the base recipe, and what is done to the weights at the start."""

    name: str
    overrides: tuple[str, ...] = ()
    start: Start | None = None


def only(*globs: str) -> Start:
    """Scale the masked tensors whose names match, by their density, and no others."""

    def start(trainer: Trainer, recipe: Recipe) -> None:
        assert trainer.sparse is not None
        for name, mask in trainer.sparse.masks.items():
            if any(fnmatchcase(name, glob) for glob in globs):
                with torch.no_grad():
                    trainer.model.get_parameter(name).mul_(compensation(mask, "variance"))

    return start


NONE = Setting("none", ("prune.init_scale=none",))
SCALED = "prune.init_scale=variance"


def scaled(name: str, *overrides: str) -> Setting:
    """A setting tried with scaled initial weights."""
    return Setting(name, (SCALED, *overrides))


@dataclass(frozen=True)
class Study:
    """Settings, each at every sparsity, growth and seed."""

    base: str
    settings: tuple[Setting, ...]
    sparsities: tuple[float, ...]
    growths: tuple[str, ...] = ("random", "gradient")
    seeds: tuple[int, ...] = (1, 2)


GROWTHS = ("random", "gradient", "momentum", "cell_gate", "random_unfired")
NONE_UNIFORM = Setting("init uniform, not scaled", ("prune.init_scale=none", "prune.init=uniform"))
SCALES = (
    NONE,
    scaled("variance"),
    Setting("fan_in", ("prune.init_scale=fan_in",)),
    Setting("like dense (LSUV)", ("prune.init_scale=none",), like_dense),
    Setting("variance, isometric", (SCALED,), isometric),
)
PARTS = (
    Setting("recurrent layers only", ("prune.init_scale=none",), only("rnn.*")),
    Setting("all but the embedding", ("prune.init_scale=none",), only("rnn.*", "decoder.*")),
    Setting("all but the decoder", ("prune.init_scale=none",), only("rnn.*", "encoder.*")),
)
LEVERS = (
    scaled("dropout 0", "model.dropout=0.0"),
    scaled("dropout 0.1", "model.dropout=0.1"),
    scaled("warm-up 0.5 epochs", "train.warmup=0.5"),
    scaled("warm-up 1 epoch", "train.warmup=1"),
    scaled("cosine learning rate", "train.schedule=cosine"),
    scaled("learning rate × 0.5", "train.lr=10"),
    scaled("learning rate × 2", "train.lr=40"),
    scaled("removal rate 0.3", "prune.removal_rate=0.3"),
    scaled("removal rate 0.7", "prune.removal_rate=0.7"),
    scaled("updates end at half", "prune.stop=0.5"),
    scaled("no updates", "prune.update=never"),
    scaled("every 50 steps", "prune.update=50", "prune.stop=0.75", "prune.removal_rate=0.3"),
    scaled("decoder dense", 'prune.exclude=["decoder.weight"]'),
    scaled("embedding dense", 'prune.exclude=["encoder.weight"]'),
    scaled("init uniform", "prune.init=uniform"),
    scaled("redistribution nonzeros", "prune.redistribution=nonzeros"),
    scaled("twice the epochs", "train.epochs=16"),
)

TOGETHER = ("model.dropout=0.1", "prune.removal_rate=0.7")

STUDIES = {
    "scale": Study("quickstart", SCALES, (0.67, 0.9, 0.95)),
    "parts": Study("quickstart", PARTS, (0.9, 0.67)),
    "plateau": Study(
        "quickstart", (NONE_UNIFORM, scaled("init uniform", "prune.init=uniform")), (0.9,), GROWTHS
    ),
    "levers": Study("quickstart", LEVERS, (0.67,)),
    "levers_sparse": Study("quickstart", LEVERS, (0.9, 0.95), ("gradient",), (1,)),
    "together": Study(
        "quickstart",
        (
            scaled("variance"),
            scaled("dropout 0.1 and removal rate 0.7", *TOGETHER),
        ),
        (0.67, 0.9, 0.95),
        ("momentum",),
    ),
    "ptb_scale": Study("ptb", (scaled("variance"), NONE), (0.9,), ("gradient",), (1,)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pilots of sparse training's settings.")
    parser.add_argument("studies", nargs="*", choices=[*STUDIES, []], metavar="STUDY")
    parser.add_argument("--target", type=Path, default=TARGET, help="results file")
    parser.add_argument("--table", action="store_true", help="print what is known")
    arguments = parser.parse_args()
    record = json.loads(arguments.target.read_text()) if arguments.target.exists() else {}
    runs: dict[str, Any] = record.setdefault("runs", {})
    torch.set_num_threads(1)
    for name in arguments.studies:
        for key, train in trainings(STUDIES[name]):
            if key not in runs:
                runs[key] = train()
                last = runs[key]["perplexity"][-1:]
                print(f"{key}: {last} {runs[key]['cpu_seconds']} s", flush=True)
                record |= {"processor": processor(), "torch": torch.__version__, "threads": 1}
                arguments.target.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.table:
        print("\n".join(tables(runs)))


def trainings(study: Study) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield key and training of all that a study holds: the dense twins, then setting by setting."""
    for seed in study.seeds:
        yield dense_key(study.base, seed), lambda seed=seed: train(study.base, (), seed)  # type: ignore[misc]
    for sparsity, setting, growth, seed in itertools.product(
        study.sparsities, study.settings, study.growths, study.seeds
    ):
        grid = (f"prune.sparsity={sparsity}", f"prune.growth={growth}")
        overrides = (*grid, *setting.overrides)
        yield (
            key_of(study.base, sparsity, setting.name, growth, seed),
            lambda o=overrides, s=seed, start=setting.start: train(study.base, o, s, start),  # type: ignore[misc]
        )


def dense_key(base: str, seed: int) -> str:
    """Where a dense twin's training is kept."""
    return f"{base} | dense | seed {seed}"


def key_of(base: str, sparsity: float, setting: str, growth: str, seed: int) -> str:
    """Where a sparse training is kept."""
    return f"{base} | {sparsity} | {setting} | {growth} | seed {seed}"


def train(
    base: str, overrides: tuple[str, ...], seed: int, start: Start | None = None
) -> dict[str, Any]:
    """Train one network, dense where there are no overrides; its losses after every epoch."""
    own = (*BASES[base], *overrides, f"seed={seed}")
    recipe = load_recipe(ROOT / "recipes" / "small" / "pydoc_training.toml", own)
    trainer = build_trainer(recipe, load_task(recipe), sparse=bool(overrides))
    if start is not None:
        start(trainer, recipe)
    started, train_loss, perplexity, failure = time.process_time(), [], [], None
    try:
        for _ in range(recipe.train.epochs):
            metrics = trainer.run_epoch()
            train_loss.append(round(metrics.train_loss, 4))
            perplexity.append(round(math.exp(metrics.valid_loss), 2))
    except Diverged as error:
        failure = str(error)
    found: dict[str, Any] = {"perplexity": perplexity, "train_loss": train_loss}
    if trainer.sparse is not None:
        found["exploration"] = round(trainer.sparse.topology().exploration, 3)
    if failure:
        found["failure"] = failure
    return {**found, "cpu_seconds": round(time.process_time() - started, 1)}


def tables(runs: dict[str, Any]) -> Iterator[str]:
    """A Markdown table for each study: a row a setting, a column for each sparsity and growth."""
    for title, study in STUDIES.items():
        dense = [runs.get(dense_key(study.base, seed)) for seed in study.seeds]
        yield f"\n### {title}: dense {summary(dense)}\n"
        columns = list(itertools.product(study.sparsities, study.growths))
        yield "| setting | " + " | ".join(f"{s}, {g}" for s, g in columns) + " |"
        yield "|---" * (len(columns) + 1) + "|"
        for setting in study.settings:
            keys = [
                [key_of(study.base, s, setting.name, g, seed) for seed in study.seeds]
                for s, g in columns
            ]
            cells = [summary([runs.get(key) for key in cell]) for cell in keys]
            if any(cells):
                yield f"| {setting.name} | " + " | ".join(cells) + " |"


def summary(found: list[dict[str, Any] | None]) -> str:
    """Mean last perplexity, its half range over seeds, and the mean after three epochs."""
    runs = [run for run in found if run is not None]
    whole = [run["perplexity"] for run in runs if "failure" not in run]
    if len(whole) < len(runs):
        return f"{len(runs) - len(whole)} of {len(runs)} diverged"
    if not whole:
        return ""
    last, third = [curve[-1] for curve in whole], [curve[2] for curve in whole]
    spread = f" ± {(max(last) - min(last)) / 2:.1f}" if len(last) > 1 else ""
    return f"{statistics.mean(last):.1f}{spread} ({statistics.mean(third):.0f})"


if __name__ == "__main__":
    main()
