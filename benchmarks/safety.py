"""What safety costs: the share of a run's time spent on saving, journaling, logging and locking.

`python benchmarks/safety.py [RECIPE] [KEY=VALUE ...]` carries a recipe out in one process (default: the
quickstart with fewer candidates; the share is of each epoch, so their number does not matter) with
a clock around every door of the store that writes, and prints both times of the same run.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import hyperprune
from hyperprune.store import atomic, cache, lock
from hyperprune.store.journal import Journal
from hyperprune.store.run import Run
from hyperprune.store.training import TrainingFolder

DOORS = (
    (TrainingFolder, "save"),
    (atomic, "write"),
    (Journal, "append"),
    (Run, "log"),
    (lock, "_acquire"),
    (cache, "publish"),
)
"""`save` also takes the state apart, which is not in `write`; what is within another is not counted."""


class Clock:
    """Seconds within the doors, each counted once however they nest."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.inside = False

    def around(self, name, real):
        """The function, timed under a name."""

        @functools.wraps(real)
        def call(*args, **kwargs):
            self.calls[name] += 1
            if self.inside:
                return real(*args, **kwargs)
            self.inside, begun = True, time.perf_counter()
            try:
                return real(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - begun
                self.inside = False

        return call


def main() -> None:
    recipe, *settings = sys.argv[1:] or ["quickstart", "search.candidates=3", "final.finalists=1"]
    clock = Clock()
    for owner, name in DOORS:
        setattr(owner, name, clock.around(name, getattr(owner, name)))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:  # a disk, not a memory disk
        folder = Path(place) / "run"
        loaded = hyperprune.load_recipe(recipe, [*settings, "search.workers=1"])
        begun = time.perf_counter()
        hyperprune.run(loaded, folder=folder)
        whole = time.perf_counter() - begun
        written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    safety = sum(clock.seconds.values())
    print(
        json.dumps(
            {
                "recipe": recipe,
                "settings": settings,
                "date": time.strftime("%Y-%m-%d"),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 thread",
                "run_s": round(whole, 2),
                "safety_s": round(safety, 3),
                "share": f"{safety / whole:.2%}",
                "seconds": {name: round(value, 3) for name, value in clock.seconds.items()},
                "calls": dict(clock.calls),
                "bytes_left": written,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
