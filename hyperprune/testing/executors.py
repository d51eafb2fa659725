"""The suite that every executor passes: `check_executor(mine)`.

Outcomes are asked for late and in another order, a network fails, a worker is killed in the middle
of its work, who listens fails, and a stop is asked for.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from hyperprune.errors import Stopped
from hyperprune.events import EpochFinished, Event, WorkerChanged
from hyperprune.execution import Crew, Executor, Job, Outcome, work
from hyperprune.store.lock import owned
from hyperprune.store.training import TrainingFolder
from hyperprune.testing.tiny import tiny_recipe, tiny_text

Open = Callable[[Crew], Executor]
WORKERS = 2
LONG = 40
"""Epochs of a job that is still under way when its first epoch is heard of."""
PATIENCE = 30.0
"""Seconds in which whoever works on a folder must have left it."""
TRIES = 3


class _GoneAway(Exception):
    """What a listener that is gone raises."""


def check_executor(open_: Open) -> None:
    """Assert that an executor keeps its contract, with two workers, in about ten seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # what a crew of one thread each computes
    try:
        with tempfile.TemporaryDirectory() as place:
            check_outcomes(open_, Path(place))
            check_listener(open_, Path(place))
            check_stop(open_, Path(place))
    finally:
        torch.set_num_threads(before)


def check_outcomes(open_: Open, place: Path) -> None:
    """Assert that outcomes, files and events are as if each job had been done here."""
    jobs = [
        job_of(place, "c000", "seed=3"),
        job_of(place, "c001", "seed=4"),
        job_of(place, "c002", "train.lr=1e12", "train.clip=0"),  # diverges
        job_of(place, "c003", f"train.epochs={LONG}", epochs=LONG),
    ]
    wanted = {job.candidate: done_here(job) for job in jobs}
    assert wanted["c002"].failure is not None
    told = _Told(jobs, victim="c003")
    with open_(crew(told)) as executor:
        assert executor.workers >= 1, "an executor has at least one worker"
        handles = [executor.submit(job) for job in jobs[:3]]
        found = [executor.wait(handle) for handle in reversed(handles)]
        for outcome in found:
            _expect(outcome, wanted[outcome.candidate])
        again = 0
        outcome = executor.wait(executor.submit(jobs[3]))
        while outcome.failure is not None and again < TRIES:
            assert outcome.failure.kind == "killed", f"a killed worker is {outcome.failure}"
            again += 1
            outcome = executor.wait(executor.submit(jobs[3]))
        _expect(outcome, wanted["c003"])
    for job in jobs:
        assert files(job.folder) == files(reference(job).folder), (
            f"the folder of {job.candidate} is not as if it had been trained here"
        )
        epochs = [epoch for name, epoch in told.epochs if name == job.candidate]
        count = len(wanted[job.candidate].epochs)
        assert list(dict.fromkeys(epochs)) == list(range(1, count + 1)), (
            f"{job.candidate} trained {count} epochs, and these were told of: {epochs}"
        )


def check_listener(open_: Open, place: Path) -> None:
    """Assert that what a listener raises comes out of `wait`, and is not swallowed."""

    def emit(event: Event) -> None:
        if isinstance(event, EpochFinished):
            raise _GoneAway

    with open_(crew(emit)) as executor:
        handle = executor.submit(job_of(place, "c004"))
        try:
            executor.wait(handle)
        except _GoneAway:
            return
    raise AssertionError("whoever listens raised, and the executor went on")


def check_stop(open_: Open, place: Path) -> None:
    """Assert that a stop is heard within a job, and leaves nobody at work and its epochs saved."""
    job = job_of(place, "c005", f"train.epochs={LONG * 25}", epochs=LONG * 25)
    heard: list[int] = []

    def emit(event: Event) -> None:
        if isinstance(event, EpochFinished):
            heard.append(event.epoch)

    try:
        with open_(crew(emit, stopping=lambda: bool(heard))) as executor:
            executor.wait(executor.submit(job))
    except Stopped:
        pass
    else:
        raise AssertionError("it was asked to stop, and went on to the end")
    with owned(job.folder, PATIENCE):
        folder = TrainingFolder(job.folder)
        assert folder.checkpoint.exists(), "an epoch was told of, and its checkpoint is not there"
        assert all(folder.spectrum(epoch).exists() for epoch in heard)


def crew(emit: Callable[[Event], None], stopping: Callable[[], bool] = lambda: False) -> Crew:
    """Two workers of one thread, on CPUs."""
    return Crew(WORKERS, 1, False, emit, stopping)


def job_of(place: Path, candidate: str, *settings: str, epochs: int = 2) -> Job:
    """A tiny training in a folder of its own."""
    recipe = tiny_recipe(tiny_text(place / "text"), *settings).model_dump(mode="json")
    return Job(candidate, place / "run" / candidate, recipe, True, epochs)


def reference(job: Job) -> Job:
    """The same job in another folder."""
    return Job(
        job.candidate,
        job.folder.parent.parent / "reference" / job.candidate,
        job.recipe,
        job.sparse,
        job.epochs,
    )


def done_here(job: Job) -> Outcome:
    """The outcome of a job in this process."""
    return work(reference(job), lambda event: None, lambda: False)


def files(folder: Path) -> dict[str, Any]:
    """What every file of a training holds; the order of a file's metadata means nothing."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.*")):
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            held = {name: (str(t.dtype), t.numpy().tobytes()) for name, t in tensors.items()}
            found[path.relative_to(folder).as_posix()] = file.metadata(), held
    return found


def _expect(outcome: Outcome, wanted: Outcome) -> None:
    assert outcome == wanted, f"the outcome of {wanted.candidate} is {outcome}, not {wanted}"


class _Told:
    """Notes epochs, sees that their files are there, and kills who trains the victim, once."""

    def __init__(self, jobs: Sequence[Job], victim: str) -> None:
        self.folders = {job.candidate: TrainingFolder(job.folder) for job in jobs}
        self.victim, self.killer = victim, 0
        self.epochs: list[tuple[str, int]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, WorkerChanged):
            near = event.node == socket.gethostname() and event.pid != os.getpid()
            if event.candidate == self.victim and event.state == "working" and near:
                self.killer = self.killer or event.pid or 0
        if not isinstance(event, EpochFinished):
            return
        self.epochs.append((event.candidate, event.epoch))
        folder = self.folders[event.candidate]
        assert folder.spectrum(event.epoch).exists(), "an epoch is told of before it is saved"
        assert folder.checkpoint.exists(), "an epoch is told of before its checkpoint is there"
        if event.candidate == self.victim and self.killer > 0:
            os.kill(self.killer, signal.SIGKILL)
            self.killer = -1
