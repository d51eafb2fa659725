"""A whole search beside what one would write by hand around Optuna, at the same number of epochs.

    python benchmarks/peers.py --recipes quickstart small/ptb_lstm --seeds 3 --write

Ours is the recipe as it stands, with one worker. Then Optuna proposes from the recipe's own space and the
same trainer trains: with its tree-structured Parzen estimator and every trial in full, and with its
Hyperband pruner, which stops trials early. They get as many epochs as ours spent, those of the dense
reference among them (which only ours needs), and stop in the middle of a trial when these are spent. What
is found is the lowest validation perplexity that any network came to. One process, one thread, the three
turn about; wall and processor time. `--write` keeps each search in benchmarks/results/peers.json as it
ends, and one that is there is not made again, and what they come to in peers.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import torch
from hardware import processor

import hyperprune
from hyperprune.recipe import apply, load_recipe, space_of
from hyperprune.recipe.records import Recipe
from hyperprune.search.space import Range, Space
from hyperprune.training.build import build_trainer, load_task

RESULTS = Path(__file__).parent / "results" / "peers.json"
OURS = "hyperprune"
SEARCHES = (OURS, "Optuna, TPE", "Optuna, Hyperband")


def ours(recipe: str, seed: int) -> dict[str, Any]:
    """The recipe's own search."""
    with tempfile.TemporaryDirectory() as folder:
        result = hyperprune.run(
            recipe,
            overrides=[f"seed={seed}", "search.workers=1", "train.threads=1"],
            folder=Path(folder) / "run",
        )
    return {
        "found": result.best.valid_value,
        "dense": result.dense_value,
        "epochs": result.dense_epochs + result.search_epochs,
        "networks": len(result.candidates),
    }


def chosen(space: Space, trial: optuna.Trial) -> dict[str, Any]:
    """A configuration, setting by setting."""
    found: dict[str, Any] = {}
    for dimension in space.dimensions:
        if not dimension.active(found):
            continue
        path, domain = dimension.path, dimension.domain
        if isinstance(domain, Range):
            suggest: Callable[..., float] = (
                trial.suggest_int if domain.integer else trial.suggest_float
            )
            found[path] = suggest(path, domain.low, domain.high, log=domain.log)
        else:
            told = trial.suggest_categorical(path, [json.dumps(value) for value in domain])
            found[path] = json.loads(told)
    return found


def by_hand(recipe: Recipe, pruner: optuna.pruners.BasePruner, epochs: int) -> dict[str, Any]:
    """Optuna around the same trainer, until so many epochs are spent."""
    space, task = space_of(recipe), load_task(recipe)
    found, left = [], epochs

    def objective(trial: optuna.Trial) -> float:
        nonlocal left
        trainer = build_trainer(apply(recipe, chosen(space, trial)), task, sparse=True)
        best = float("inf")
        for epoch in range(1, recipe.train.epochs + 1):
            if not left:
                trial.study.stop()
                raise optuna.TrialPruned
            left -= 1
            best = min(best, trainer.run_epoch().valid_loss)
            found.append(best)
            trial.report(best, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return best

    sampler = optuna.samplers.TPESampler(seed=recipe.seed)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.optimize(objective)
    return {
        "found": task.metric.value(min(found)),
        "epochs": len(found),
        "networks": len(study.trials),
    }


def searched(how: str, name: str, seed: int, epochs: int) -> dict[str, Any]:
    """One search, with what it cost."""
    wall, processing = time.perf_counter(), time.process_time()
    if how == OURS:
        row = ours(name, seed)
    else:
        recipe = load_recipe(name, [f"seed={seed}", "train.threads=1"])
        pruner = (
            optuna.pruners.HyperbandPruner(min_resource=1, max_resource=recipe.train.epochs)
            if how == "Optuna, Hyperband"
            else optuna.pruners.NopPruner()
        )
        row = by_hand(recipe, pruner, epochs)
    row["wall_s"] = round(time.perf_counter() - wall, 1)
    row["cpu_s"] = round(time.process_time() - processing, 1)
    return row


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Mean and deviation over the seeds that all three have searched, of a recipe with two and more."""
    lines = [
        "| recipe | seeds | search | validation perplexity found | dense | networks | processor time |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in dict.fromkeys(key.split("/seed ")[0] for key in rows):
        of: dict[str, list[Mapping[str, Any]]] = {how: [] for how in SEARCHES}
        for seed in range(1, len(rows) + 1):
            keys = [f"{recipe}/seed {seed}/{how}" for how in SEARCHES]
            if all(key in rows for key in keys):
                for how, key in zip(SEARCHES, keys, strict=True):
                    of[how].append(rows[key])
        own = of[OURS]
        if len(own) < 2:
            continue
        dense = statistics.fmean(row["dense"] for row in own)
        for how, found in of.items():
            values = [row["found"] for row in found]
            cost = sum(row["cpu_s"] for row in found) / sum(row["cpu_s"] for row in own)
            networks = statistics.fmean(row["networks"] for row in found)
            lines.append(
                f"| `{recipe}` | {len(own)} | {how} | {statistics.fmean(values):.2f} ± "
                f"{statistics.stdev(values):.2f} | {dense:.2f} | {networks:.1f} | {cost:.2f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make what is missing, and print what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recipes", nargs="+", default=["quickstart", "small/ptb_lstm"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    known = json.loads(RESULTS.read_text())["rows"] if given.write and RESULTS.exists() else {}
    rows: dict[str, dict[str, Any]] = known
    with tempfile.TemporaryDirectory() as cache:  # every search trains its own dense reference
        os.environ["HYPERPRUNE_CACHE"] = cache
        for seed in range(1, given.seeds + 1):
            for recipe in given.recipes:
                for how in SEARCHES:
                    key = f"{recipe}/seed {seed}/{how}"
                    if key in rows:
                        continue
                    epochs = 0 if how == OURS else rows[f"{recipe}/seed {seed}/{OURS}"]["epochs"]
                    rows[key] = searched(how, recipe, seed, epochs)
                    print(key, rows[key], flush=True)
                    if given.write:
                        made = f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, torch {torch.__version__}"
                        told = {
                            "command": "python benchmarks/peers.py --write",
                            "made": made,
                            "rows": rows,
                        }
                        RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    print(table(rows))
    if given.write:
        RESULTS.with_suffix(".md").write_text(table(rows))


if __name__ == "__main__":
    main()
