"""The winner's folder: weights, masks and what they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperprune.store import atomic, layout
from hyperprune.store.training import split_masks

MEASURES = "measures.json"


def save_winner(folder: Path, best: Path, about: Mapping[str, Any]) -> tuple[int, int, int]:
    """Write the best weights of a training and their masks; returns active, masked and all weights.

    `about` is stored beside them, together with what the training said of its best epoch.
    """
    tensors, metadata = atomic.read_tensors(best)
    weights, masks = split_masks(tensors)
    said = {**about, **metadata}
    atomic.write_tensors(folder / layout.WEIGHTS, weights, said)
    atomic.write_tensors(folder / layout.MASKS, masks, said)
    atomic.write_json(folder / layout.SETTINGS, said)
    return (
        sum(int(mask.sum()) for mask in masks.values()),
        sum(mask.numel() for mask in masks.values()),
        sum(weight.numel() for weight in weights.values()),
    )


def save_measures(folder: Path, measures: Mapping[str, Any]) -> None:
    """Write what forms of the winner cost, as `hyperprune.export.measure` found it."""
    atomic.write_json(folder / MEASURES, measures)


def saved_measures(folder: Path) -> Any:
    """What `save_measures` wrote, not looked at; None where nothing was measured."""
    path = folder / MEASURES
    return atomic.read_json(path) if path.exists() else None
