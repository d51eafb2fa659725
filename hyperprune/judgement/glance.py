"""A run folder at a glance: what a list of runs says of each, from a few small files."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from hyperprune.judgement.result import names_of
from hyperprune.store import layout
from hyperprune.store.lock import owner_of
from hyperprune.terms.metric import PERPLEXITY, Metric

LARGEST = 8 << 20
"""Bytes of a JSON file beyond which it is none of ours."""


@dataclass(frozen=True)
class Glance:
    """One run folder: how it stands, what came of it, how old and large it is."""

    name: str
    title: str
    state: Literal["finished", "running", "stopped", "damaged"]
    winner: str | None
    value: float | None  # the winner's, validation
    dense_value: float | None
    candidates: int | None
    age: float  # seconds since a file of it was last written
    size: int  # bytes
    metric: Metric = PERPLEXITY

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON, values under the metric's own name."""
        said = {key: value for key, value in asdict(self).items() if key != "metric"}
        name = self.metric.name
        return {
            {"value": name, "dense_value": f"dense_{name}"}.get(k, k): v for k, v in said.items()
        }


def glances(folder: Path) -> list[Glance]:
    """Every run folder within a folder, the newest first; links are not followed."""
    return sorted((glance(path) for path in run_folders(folder)), key=lambda item: item.age)


def run_folders(folder: Path) -> Iterator[Path]:
    """Folders within a folder, no links, that hold a run."""
    try:
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in inside:
        if entry.is_dir(follow_symlinks=False) and _plain(Path(entry.path) / layout.MADE):
            yield Path(entry.path)


def glance(folder: Path) -> Glance:
    """Look at one run folder; what cannot be read makes it damaged, and is no error."""
    made, result = _read(folder / layout.MADE), _read(folder / layout.RESULT)
    recipe = made.get("recipe") if made else None
    title = recipe.get("title") if isinstance(recipe, dict) else None
    best = _winner(result) if result else {}
    metric = _metric(result)
    names = names_of(metric)
    broken = not isinstance(recipe, dict) or (_plain(folder / layout.RESULT) and not best)
    running = owner_of(folder) is not None
    newest, size = _weigh(folder)
    candidates = result.get("candidates") if result else None
    return Glance(
        name=folder.name,
        title=title if isinstance(title, str) else "",
        state="damaged" if broken else "running" if running else "finished" if best else "stopped",
        winner=str(best["name"]) if best else None,
        value=_number(best.get(names["valid_value"])),
        dense_value=_number((result or {}).get(names["dense_value"])),
        metric=metric,
        candidates=len(candidates) if isinstance(candidates, list) else None,
        age=max(0.0, time.time() - newest),
        size=size,
    )


def _winner(result: dict[str, Any]) -> dict[str, Any]:
    candidates = result.get("candidates")
    for item in candidates if isinstance(candidates, list) else ():
        if isinstance(item, dict) and "name" in item and item["name"] == result.get("winner"):
            return item
    return {}


def _metric(result: dict[str, Any] | None) -> Metric:
    """What a result is told in; perplexity where it does not say."""
    said = (result or {}).get("metric")
    try:
        return TypeAdapter(Metric).validate_python(said) if said else PERPLEXITY
    except ValueError:
        return PERPLEXITY


def _number(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if usable and abs(value) < 1e300 else None


def _plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if not _plain(path) or path.stat().st_size > LARGEST:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _weigh(folder: Path) -> tuple[float, int]:
    """When a file was last written, and bytes in all files."""
    newest, size = 0.0, 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                found = (Path(place) / name).lstat()
            except OSError:
                continue  # gone meanwhile
            newest, size = max(newest, found.st_mtime), size + found.st_size
    return newest, size
