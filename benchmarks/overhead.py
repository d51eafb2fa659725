"""What handing out costs: jobs of some seconds by `ray` and by `processes`, side by side.

python benchmarks/overhead.py [--jobs 6] [--workers 2] [--out benchmarks/results/overhead.json]

The jobs train a tiny network that sleeps in every forward pass, so that what else the machine does stretches
what surrounds the work and not the work itself: a wall time on a busy machine is too high, never too low.
Sleep leaves the processor to Ray's own processes, which compete for it where networks train; so the processor
seconds of the driver and all that descend from it are counted too. `ratio` is wall time by wall time of
`processes`; `bound` adds the processor seconds beyond those of `processes` as if all had held up the work.

Starting is timed apart: until each worker has done a first job without sleep. The executors take turns. Files
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
from typing import Any

os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import torch

from hyperprune.execution import Crew, Executor, Job
from hyperprune.plugins import registry, use
from hyperprune.testing import tiny_recipe, tiny_text

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "processes": ("processes", {}),
    "ray, files sent": ("ray", {"shared": False}),
    "ray, files written directly": ("ray", {"shared": True}),
}
EPOCHS = 3
SLEEPER = '''
import time

from hyperprune import hookimpl
from hyperprune.testing.tiny import TinyModel


class Sleeper(TinyModel):
    def __init__(self, vocabulary, nap):
        super().__init__(vocabulary)
        self.nap = nap

    def forward(self, tokens, state):
        time.sleep(self.nap)
        return super().forward(tokens, state)


def sleeper(vocabulary, *, nap: float = 0.0):
    """A tiny network that sleeps."""
    return Sleeper(vocabulary, nap)


@hookimpl
def hyperprune_models():
    return {"sleeper": sleeper}
'''
TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds() -> float:
    """Of this process and all that descend from it, those that have ended counted by who waited."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        number = int(path.parent.name)
        parents[number] = int(fields[1])
        spent[number] = sum(map(int, fields[11:15])) / TICKS

    def ours(number: int) -> bool:
        while number > 1:
            if number == os.getpid():
                return True
            number = parents.get(number, 0)
        return False

    return sum(seconds for number, seconds in spent.items() if ours(number))


def jobs(place: Path, text: Path, count: int, nap: float) -> list[Job]:
    code = text.parent / "sleeper.py"
    settings = (f"plugins=['{code}']", f"model={{name='sleeper', nap={nap!r}}}")
    recipe = tiny_recipe(text, *settings, f"train.epochs={EPOCHS}").model_dump(mode="json")
    return [Job(f"c{k:03d}", place / f"c{k:03d}", recipe, True, EPOCHS) for k in range(count)]


def done(executor: Executor, todo: list[Job]) -> tuple[float, float]:
    """Wall and processor seconds."""
    start, before = time.perf_counter(), processor_seconds()
    for handle in [executor.submit(job) for job in todo]:
        assert executor.wait(handle).failure is None
    return time.perf_counter() - start, processor_seconds() - before


def passes(place: Path, text: Path, crew: Crew) -> int:
    """Forward passes of a job."""
    count, nap = 0, time.sleep

    def counted(seconds: float) -> None:
        nonlocal count
        count += 1

    time.sleep = counted
    try:
        with registry().bind("executor", "local", {})(crew) as here:
            done(here, jobs(place / "counted", text, 1, 1.0))
    finally:
        time.sleep = nap
    return count


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
    found: dict[str, dict[str, Any]] = {
        kind: {"start": [], "seconds": [], "processor_seconds": []} for kind in KINDS
    }
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "sleeper.py").write_text(SLEEPER, encoding="utf-8")
        use([place / "sleeper.py"])
        text = tiny_text(place / "text")
        nap = chosen.seconds / passes(place, text, crew)
        for turn in range(chosen.turns):
            for kind, (executor, options) in KINDS.items():
                row = found[kind]
                run = place / f"{kind}-{turn}"
                began = time.perf_counter()
                with registry().bind("executor", executor, options)(crew) as opened:
                    done(opened, jobs(run / "first", text, chosen.workers, 0.0))
                    row["start"].append(round(time.perf_counter() - began, 2))
                    took, spent = done(opened, jobs(run / "timed", text, chosen.jobs, nap))
                row["seconds"].append(round(took, 2))
                row["processor_seconds"].append(round(spent, 2))
                print(kind, row, flush=True)
    base = found["processes"]
    slept = chosen.seconds * chosen.jobs  # of all workers together
    for row in found.values():
        pairs = zip(row["seconds"], base["seconds"], strict=True)
        row["ratio"] = round(statistics.median(a / b for a, b in pairs), 3)
        spent = zip(row["processor_seconds"], base["processor_seconds"], strict=True)
        row["bound"] = round(row["ratio"] + statistics.median(a - b for a, b in spent) / slept, 3)
    result = {
        "made": date.today().isoformat(),
        "jobs": chosen.jobs,
        "workers": chosen.workers,
        "epochs_a_job": EPOCHS,
        "seconds_slept_a_job": chosen.seconds,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "executors": found,
    }
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
