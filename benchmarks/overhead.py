"""Wall time of jobs of some seconds by `ray` and by `processes`, with as many workers, side by side.

python benchmarks/overhead.py [--jobs 6] [--workers 2] [--out benchmarks/results/overhead.json]

Starting is timed apart: until each worker has done a first, short job. Then each executor does the same
jobs, turn by turn, so that what else the machine does falls on both alike. A ratio, not a speed. The files
come back through the object store (`shared = false`), and once more written directly.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("RAY_worker_niceness", "0")

import torch

from hyperprune.execution import Crew, Executor, Job
from hyperprune.plugins import registry
from hyperprune.testing import tiny_recipe, tiny_text

KINDS = {
    "processes": ("processes", {}),
    "ray, files sent": ("ray", {"shared": False}),
    "ray, files written directly": ("ray", {"shared": True}),
}


EPOCHS = 3


def text_of(place: Path, words: int) -> Path:
    """A text whose training split has so many words."""
    folder = tiny_text(place / f"text{words}")
    line = (folder / "train.txt").read_text(encoding="utf-8").splitlines()
    lines = [line[k % len(line)] for k in range(words // 10)]
    (folder / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def jobs(text: Path, place: Path, count: int, epochs: int = EPOCHS) -> list[Job]:
    settings = ("model.hidden=48", f"train.epochs={EPOCHS}", "spectrum.steps=20")
    recipe = tiny_recipe(text, *settings).model_dump(mode="json")
    return [Job(f"c{k:03d}", place / f"c{k:03d}", recipe, True, epochs) for k in range(count)]


def done(executor: Executor, todo: list[Job]) -> float:
    start = time.perf_counter()
    for handle in [executor.submit(job) for job in todo]:
        assert executor.wait(handle).failure is None
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/overhead.json"))
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    crew = Crew(chosen.workers, 1, False, lambda event: None, lambda: False)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        trial, few = text_of(place, 3000), place / "local"
        with registry().bind("executor", "local")(crew) as here:
            done(here, jobs(trial, few / "warm", 1, epochs=1))
            started = time.process_time()
            done(here, jobs(trial, few / "timed", 1))
            words = round(3000 * chosen.seconds / (time.process_time() - started), -2)
        text = text_of(place, int(words))
        found: dict[str, dict[str, object]] = {kind: {"seconds": []} for kind in KINDS}
        for turn in range(chosen.turns):
            for kind, (executor, options) in KINDS.items():
                folder = place / kind.replace(" ", "-") / str(turn)
                before = time.perf_counter()
                with registry().bind("executor", executor, options)(crew) as opened:
                    done(opened, jobs(trial, folder / "first", chosen.workers, epochs=1))
                    found[kind]["start"] = round(time.perf_counter() - before, 2)
                    took = done(opened, jobs(text, folder / "timed", chosen.jobs))
                    found[kind]["seconds"].append(round(took, 2))  # type: ignore[attr-defined]
                print(kind, found[kind], flush=True)
    base = found["processes"]["seconds"]
    for kind in KINDS:
        pairs = zip(found[kind]["seconds"], base, strict=True)  # type: ignore[call-overload]
        found[kind]["ratio"] = round(statistics.median(a / b for a, b in pairs), 3)
    result = {
        "made": date.today().isoformat(),
        "jobs": chosen.jobs,
        "workers": chosen.workers,
        "epochs_a_job": EPOCHS,
        "words_of_the_text": words,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "executors": found,
    }
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
