"""What training as int8 gains over rounding, on the quickstart's network, and at fewer bits.

python benchmarks/int8.py            # three seeds; writes benchmarks/results/int8.md

Each seed trains the network of `recipes/quickstart.toml` at one setting. From its best weights it goes on for
some epochs with the same rates and data: in float32, and as a number of levels holds the weights. So what
training as int8 gains is told apart from what more training gains.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn

from hyperprune.judgement.sheets import interval, spread
from hyperprune.judgement.statistics import paired, summary
from hyperprune.pipeline.finals import as_int8, seeded
from hyperprune.recipe import load_recipe
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.threads import torch_threads
from hyperprune.task import Task
from hyperprune.training.build import Kept, build_trainer, load_task
from hyperprune.training.int8 import held
from hyperprune.training.trainer import Trainer

LEVELS = {"8 bits": 127, "4 bits": 7, "3 bits": 3, "2 bits": 1}
SETTING = ["prune.init=er", "prune.growth=gradient", "prune.removal_rate=0.5"]
RESULTS = Path(__file__).parent / "results" / "int8.md"
Hold: TypeAlias = Callable[[nn.Module], AbstractContextManager[None]] | None
ABOUT = """\
Written by `python benchmarks/int8.py`{said}. The network of `recipes/quickstart.toml` (an LSTM 1×160 with
sparsity 0.67, er, gradient growth, rate 0.5), trained for {first} epochs; perplexity, mean ± standard
deviation over {seeds} seeds. *Rounded*: the weights rounded, a scale a row. *Trained as*: {epochs} more
epochs with rounded weights (`final.int8_epochs`, `final.int8_lr = {lr}`), its best epoch by validation.
*Longer, rounded*: as many epochs in float32 at the same rates, then rounded. The last column is what
training with rounded weights gains over training longer and rounding: test, seed by seed, with its 95 %
interval (Student's t)."""


def value(trainer: Trainer, split: str, hold: Hold) -> float:
    """Perplexity of the network as it stands, its weights held in some way."""
    before, trainer.hold = trainer.hold, hold
    loss = trainer.evaluate(trainer.heldout(split)).loss  # type: ignore[arg-type]
    trainer.hold = before
    return float(torch.tensor(loss).exp())


def kept(trainer: Trainer) -> Kept:
    """Weights and masks of a sparse network as they are now."""
    weights = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    return weights, {name: mask.clone() for name, mask in trainer.sparse.masks.items()}


def best_of(
    trainer: Trainer, epochs: int, holds: dict[str, Hold]
) -> dict[str, tuple[float, float]]:
    """Train on; for each way to hold weights (validation, test) at its own best epoch."""
    found: dict[str, tuple[float, float]] = {}
    for _ in range(epochs):
        trainer.run_epoch()
        for name, hold in holds.items():
            valid = value(trainer, "valid", hold)
            if name not in found or valid < found[name][0]:
                found[name] = valid, value(trainer, "test", hold)
    return found


def one_seed(recipe: Recipe, task: Task) -> dict[str, dict[str, tuple[float, float]]]:
    """(validation, test) by precision and by what was done; `float32` holds what was not rounded."""
    holds = {name: partial(held, levels=levels) for name, levels in LEVELS.items()}
    trainer = build_trainer(recipe, task, sparse=True)
    lowest, start = float("inf"), kept(trainer)
    for _ in range(recipe.train.epochs):
        loss = trainer.run_epoch().valid_loss
        if loss < lowest:
            lowest, start = loss, kept(trainer)

    def again(hold: Hold) -> Trainer:
        made = build_trainer(as_int8(recipe), task, sparse=True, int8=start)
        made.hold = hold
        return made

    begun = again(None)
    longer = best_of(again(None), recipe.final.int8_epochs, {"float32": None, **holds})
    whole = value(begun, "valid", None), value(begun, "test", None)
    found = {"float32": {"as it is": whole, "longer, rounded": longer["float32"]}}
    for name, hold in holds.items():
        found[name] = {
            "rounded": (value(begun, "valid", hold), value(begun, "test", hold)),
            "trained as": best_of(again(hold), recipe.final.int8_epochs, {name: hold})[name],
            "longer, rounded": longer[name],
        }
    return found


def table(found: list[dict[str, dict[str, tuple[float, float]]]], recipe: Recipe, said: str) -> str:
    """What was found, as Markdown."""

    def told(bits: str, what: str) -> str:
        each = [[seed[bits][what][split] for seed in found] for split in (0, 1)]
        return " / ".join(spread(summary(values), "{:.2f}".format) for values in each)

    head = ABOUT.format(
        said=said,
        seeds=len(found),
        first=recipe.train.epochs,
        epochs=recipe.final.int8_epochs,
        lr=recipe.final.int8_lr,
    )
    lines = ["# Training as int8", "", head, "", "Validation / test.", ""]
    lines += ["| weights | rounded | trained as | longer, rounded | trained as − longer, rounded |"]
    lines += ["|---|---|---|---|---|"]
    lines += [
        f"| float32 | {told('float32', 'as it is')} | – | {told('float32', 'longer, rounded')} | – |"
    ]
    for bits in LEVELS:
        mine, other = (
            {number: seed[bits][what][1] for number, seed in enumerate(found)}
            for what in ("trained as", "longer, rounded")
        )
        lines.append(
            f"| {bits} | {told(bits, 'rounded')} | {told(bits, 'trained as')} | "
            f"{told(bits, 'longer, rounded')} | {interval(paired(mine, other), '{:.2f}'.format)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train each seed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="settings of the recipe")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    recipe = load_recipe("quickstart", [*SETTING, "final.int8_epochs=2", *given.set])
    task = load_task(recipe)
    said = "".join(f" --set {item}" for item in given.set)
    with torch_threads(1):
        found = [one_seed(seeded(recipe, number), task) for number in range(1, given.seeds + 1)]
    given.results.write_text(table(found, recipe, said), encoding="utf-8")


if __name__ == "__main__":
    main()
