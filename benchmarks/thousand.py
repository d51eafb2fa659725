"""What a search over 250 to 2,000 candidates on 8 workers costs its driver: memory, journal, resume.

python benchmarks/thousand.py [--out benchmarks/results/thousand.json]

Nothing trains but one toy network, whose files stand for everybody's: an executor hands them back epoch by
epoch as a cluster would, with losses drawn by name. What is left is the driver: suggestions (`random`),
files written and synced, journal, judging, and taking the run up again without its result. Processor
seconds of the one process, and its peak memory; each size has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch

import hyperprune
from hyperprune.events import EpochFinished
from hyperprune.execution import Crew, Job, Outcome, work
from hyperprune.plugins import Contribution, registry
from hyperprune.store import parcel
from hyperprune.testing import tiny_run
from hyperprune.training.outcome import EpochRecord

SIZES = (250, 500, 1000, 2000)
WORKERS, EPOCHS = 8, 14
SETTINGS = (
    "search.executor=stand_in",
    f"search.workers={WORKERS}",
    f"train.epochs={EPOCHS}",
    "prune.update=epoch",
    "rounds.first=3",
    "rounds.epochs=1",
    "search.objective=loss",
    "search.searcher=random",
    "space.removal_rate={ low = 0.1, high = 0.9 }",
)


class StandIn:
    """Gives every candidate the files of one toy network, and losses of its own."""

    workers = WORKERS
    sources: dict[bool, tuple[Path, tuple[EpochRecord, ...]]] = {}  # noqa: RUF012

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def submit(self, job: Job) -> Job:
        return job

    def wait(self, job: Job) -> Outcome:
        if job.sparse not in self.sources:
            folder = Path(tempfile.mkdtemp()) / "toy"
            toy = work(Job("c000", folder, job.recipe, job.sparse, EPOCHS), print_nothing, never)
            self.sources[job.sparse] = folder, toy.epochs
        folder, records = self.sources[job.sparse]
        draw = random.Random(job.candidate).random()
        known = len(list((job.folder / "spectra").glob("*.safetensors")))
        made = [
            replace(record, valid_loss=record.valid_loss * (1 + draw / 10))
            for record in records[: job.epochs]
        ]
        for record in made[known:]:
            parcel.unpack(parcel.of_epoch(folder, record.epoch, {}), job.folder)
            loss = record.valid_loss
            self.crew.emit(EpochFinished(job.candidate, record.epoch, loss, loss, False))
        return Outcome(job.candidate, tuple(made))


def print_nothing(event: object) -> None:
    """Listen to nothing."""


def never() -> bool:
    return False


def stand_in(crew: Crew) -> StandIn:
    """Files of one toy network for every candidate."""
    return StandIn(crew)


def one(count: int) -> dict[str, float]:
    """A run and its resumption, in this process."""
    torch.set_num_threads(1)
    item = Contribution("executor", "stand_in", stand_in, "benchmark", "0")
    registry().contributions["executor", "stand_in"] = item
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny_run(folder / "warm", *SETTINGS, "search.candidates=2")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.process_time()
        tiny_run(folder, *SETTINGS, f"search.candidates={count}")
        ran = time.process_time() - started
        run = folder / "run"
        (run / "result.json").unlink()
        started = time.process_time()
        hyperprune.resume(run)
        resumed = time.process_time() - started
        lines = (run / "journal.jsonl").read_bytes()
    return {
        "candidates": count,
        "run_cpu_seconds": round(ran, 2),
        "resume_cpu_seconds": round(resumed, 2),
        "journal_bytes": len(lines),
        "journal_lines": lines.count(b"\n"),
        "memory_grew_mib": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before, 1
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/thousand.json"))
    parser.add_argument("--one", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one(chosen.one)))
        return
    rows = []
    for count in SIZES:
        command = [sys.executable, __file__, "--one", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    found = {"made": date.today().isoformat(), "workers": WORKERS, "passes": [rows]}
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
