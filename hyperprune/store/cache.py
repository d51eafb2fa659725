"""Dense references shared by runs: kept by the hash of all that determines them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from hyperprune.recipe.records import Recipe
from hyperprune.runtime.caches import CACHE
from hyperprune.store import atomic
from hyperprune.store.facts import read_epochs
from hyperprune.store.lock import owned
from hyperprune.store.training import TrainingFolder
from hyperprune.terms.metric import Metric
from hyperprune.training.outcome import EpochRecord

HISTORY = "history.json"


def cache_root() -> Path:
    """The folder of cached dense references."""
    override = os.environ.get(CACHE)
    return Path(override) if override else user_cache_path("hyperprune") / "dense"


def dense_key(recipe: Recipe, corpus_hash: str, made_with: dict[str, Any]) -> str:
    """Hash of what a dense reference depends on: text, task, network, training, protocol, seed, versions."""
    parts = {
        "corpus": corpus_hash,
        **dense_parts(recipe),
        "made_with": {k: v for k, v in made_with.items() if k != "workers"},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def dense_parts(recipe: Recipe) -> dict[str, Any]:
    """The settings that a dense reference depends on, by section."""
    said = recipe.model_dump(mode="json")
    others = ("distance", "reference", "exponents", "measure")  # which change no spectrum
    spectrum = {k: v for k, v in said["spectrum"].items() if k not in others}
    train = {k: v for k, v in said["train"].items() if k != "threads"}
    return {
        "model": said["model"],
        "train": train,
        **({"task": said["task"]} if "task" in said else {}),
        "spectrum": spectrum if recipe.spectrum.measure else None,
        "seed": recipe.seed,
    }


def fetch(
    key: str, target: TrainingFolder, epochs: int, metric: Metric
) -> tuple[EpochRecord, ...] | None:
    """Copy a cached reference into a run; None when it is absent, incomplete or damaged."""
    source = TrainingFolder(cache_root() / key)
    try:
        history = read_epochs(atomic.read_json(source.path / HISTORY), metric)
        if len(history) != epochs:
            return None
        target.take(source, history)
    except Exception:  # whatever is wrong with a cache, training anew is right
        return None
    return tuple(history)


def publish(key: str, source: TrainingFolder, history: tuple[EpochRecord, ...]) -> None:
    """Put a finished reference into the cache; raises RunError, which costs a run nothing.

    The history is written last: without it the entry counts as incomplete. Another run that
    publishes the same key writes the same bytes.
    """
    target = TrainingFolder(cache_root() / key)
    with owned(target.path):
        for record in history:
            if record.measured:
                atomic.copy(source.spectrum(record.epoch), target.spectrum(record.epoch))
        atomic.copy(source.best, target.best)
        atomic.write_json(target.path / HISTORY, [record.plain() for record in history])
