"""What a search costs beside its trainings: suggestions, and workers against threads.

python benchmarks/search.py [RECIPE] [--out benchmarks/results/search.json]

The same search twice, side by side in one run and from cold caches: two candidates at a time on one
thread each, and one at a time on two threads. Wall-clock seconds, so the machine must be quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

import hyperprune
from hyperprune.pipeline import stages

SIDES = {"two workers, one thread each": (2, 1), "one worker, two threads": (1, 2)}


class TimedSearcher:
    """A searcher with a clock on every suggestion."""

    def __init__(self, inner: Any, seconds: list[float]) -> None:
        self.inner, self.seconds = inner, seconds

    def prepare(self) -> None:
        """Load what is needed, outside the clock: all workers are busy then."""
        self.inner.prepare()

    def bind(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Bind as the searcher does."""
        bound = self.inner.bind(options)

        def suggest(*given: Any) -> Any:
            start = time.perf_counter()
            try:
                return bound(*given)
            finally:
                self.seconds.append(time.perf_counter() - start)

        return suggest


class TimedRegistry:
    """The registry, whose searchers are timed."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.seconds = inner, []

    def get(self, kind: str, name: str) -> Any:
        """Find a contribution."""
        found = self.inner.get(kind, name)
        return TimedSearcher(found, self.seconds) if kind == "searcher" else found


def measure(recipe: str, workers: int, threads: int) -> dict[str, Any]:
    """One search from a cold cache."""
    timed = TimedRegistry(stages.registry())
    original, stages.registry = stages.registry, lambda: timed
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPERPRUNE_CACHE"] = f"{folder}/cache"
        sets = [f"search.workers={workers}", f"train.threads={threads}"]
        start = time.perf_counter()
        result = hyperprune.run(recipe, overrides=sets, folder=Path(folder) / "run")
        wall = time.perf_counter() - start
    stages.registry = original
    return {
        "workers": workers,
        "threads": threads,
        "wall_s": round(wall, 1),
        "suggestions": len(timed.seconds),
        "suggestions_s": round(sum(timed.seconds), 2),
        "suggestions_share": round(sum(timed.seconds) / wall, 4),
        "winner_perplexity": round(result.best.valid_perplexity or 0.0, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="quickstart")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    found = {}
    for name, side in SIDES.items():  # each in a process of its own, as a command is
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found[name] = pool.submit(measure, chosen.recipe, *side).result()
    walls = [side["wall_s"] for side in found.values()]
    record = {
        "date": date.today().isoformat(),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}",
        "recipe": chosen.recipe,
        "sides": found,
        "one_worker_over_two": round(walls[1] / walls[0], 2),
    }
    text = json.dumps(record, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
