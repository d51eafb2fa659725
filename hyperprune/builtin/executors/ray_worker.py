"""One worker on a Ray cluster. Ray sends this module to nodes by value, so that it runs on a node
whose hyperprune is another or none, and can say so; hyperprune is imported once that is settled.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections import deque
from importlib import metadata
from pathlib import Path
from typing import Any

SCRATCH = "hyperprune-workers"
STEP_EVERY = 0.5
"""Seconds between words on how far a step has come."""
PATIENCE = 60.0
"""Seconds that a worker waits for others of its machine that begin, and tidy up."""


def versions() -> dict[str, str]:
    """What must agree for a job to come to the same: hyperprune, torch, and packages of plugins."""
    packages = {"hyperprune", "torch"}
    for point in metadata.entry_points(group="hyperprune"):
        if point.dist is not None and os.environ.get("HYPERPRUNE_AUTOLOAD", "1") != "0":
            packages.add(point.dist.name)
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def device() -> str:
    """What this process would train on, by the name that torch gives it."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


class Worker:
    """Does one job at a time in one thread, and is asked in another for what it has to say."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._said: deque[tuple[str, Any]] = deque()
        self._sent: tuple[int, list[tuple[str, Any]]] = (0, [])
        self._more = threading.Condition()
        self._stop = threading.Event()
        self._scratch: Path | None = None
        self._held = contextlib.ExitStack()  # its lock, until this process ends

    def about(self) -> dict[str, Any]:
        """Where this is and which versions are here, before anything of them is imported."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        about = {"node": socket.gethostname(), "id": node, "pid": os.getpid()}
        return {**about, "versions": versions()}

    def ready(self) -> str:
        """Import what a job needs; the device that it will train on."""
        import hyperprune.execution.worker  # noqa: F401

        return device()

    def work(self, task: dict[str, Any]) -> None:
        """Do a job; what comes of it is said, not returned."""
        from ray.exceptions import ObjectLostError

        try:
            self._say("done", self._done(task))
        except ObjectLostError as error:  # the driver has it still
            self._say("lost", str(error))
        except BaseException as error:  # whatever it is, the driver decides
            self._say("error", _portable(error))

    def talk(self, number: int, patience: float) -> list[tuple[str, Any]]:
        """What there is to say, waiting up to `patience` seconds for something.

        Who asks with the same number again has not got the answer, and gets it once more.
        """
        with self._more:
            if number == self._sent[0]:
                return self._sent[1]
            if not self._said:
                self._more.wait(patience)
            self._sent = number, list(self._said)
            self._said.clear()
            return self._sent[1]

    def stop(self) -> None:
        """Ask whatever is at work to end after its step."""
        self._stop.set()

    def _say(self, kind: str, what: Any) -> None:
        with self._more:
            self._said.append((kind, what))
            self._more.notify_all()

    def _done(self, task: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The outcome of a job, and files that no epoch has brought yet."""
        import time
        from dataclasses import replace

        import ray
        import torch

        from hyperprune.corpus.load import provide
        from hyperprune.events import EpochFinished, Event, StepFinished
        from hyperprune.execution import Job, work
        from hyperprune.execution.telling import telling
        from hyperprune.recipe.records import Recipe
        from hyperprune.store import parcel, texts

        job: Job = task["job"]
        torch.set_num_threads(task["threads"])
        direct = task["nonce"] is not None and parcel.sees(Path(task["seen"]), task["nonce"])
        self._say("began", direct)
        key, (text,) = task["text"]
        corpus = texts.fetched(key, lambda: bytes(ray.get(text)))
        provide(Recipe.model_validate(job.recipe).data, corpus)
        folder, recipe = job.folder, job.recipe
        if not direct:
            folder = self._folder(job.candidate)
            recipe = {**recipe, "plugins": self._code(task["code"])}
            if task["checkpoint"]:
                parcel.unpack(ray.get(task["checkpoint"][0]), folder)
        known: dict[str, str] = {}  # hashes of what was sent
        next_step = 0.0

        def emit(event: Event) -> None:
            nonlocal next_step
            if isinstance(event, StepFinished):
                if time.monotonic() < next_step:
                    return
                next_step = time.monotonic() + STEP_EVERY
            if isinstance(event, EpochFinished) and not direct:
                files = parcel.of_epoch(folder, event.epoch, known)
                known.update({name: item.sha256 for name, item in files.items()})
                self._say("epoch", (event, files))
            else:
                self._say("event", event)

        with telling(self.name, emit):
            here = replace(job, folder=folder, recipe=recipe)
            outcome = work(here, emit, self._stop.is_set)
        if direct:
            return outcome, {}
        files = parcel.of_end(folder, known)
        shutil.rmtree(folder, ignore_errors=True)
        return outcome, files

    def _folder(self, candidate: str) -> Path:
        """An empty folder on this machine, for one job."""
        folder = self._place() / candidate
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _code(self, files: dict[str, bytes]) -> list[str]:
        """Write the run's own plugin files; where they lie on this machine."""
        folder = self._place() / "plugins"
        folder.mkdir(exist_ok=True)
        for name, source in files.items():
            (folder / name).write_bytes(source)
        return [str(folder / name) for name in files]

    def _place(self) -> Path:
        """This worker's own folder on this machine, locked; those that nobody has locked are removed.

        Locks, not process ids: workers in containers may share a folder, and see none of each other.
        """
        from hyperprune.errors import RunError
        from hyperprune.store.lock import owned

        if self._scratch is None:
            place = Path(tempfile.gettempdir()) / f"{SCRATCH}-{os.getuid()}"
            place.mkdir(mode=0o700, exist_ok=True)
            with owned(place, PATIENCE):  # or a folder would be there that is not locked yet
                for old in filter(Path.is_dir, place.iterdir()):
                    with contextlib.suppress(RunError), owned(old):
                        shutil.rmtree(old, ignore_errors=True)
                self._scratch = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=place))
                self._held.enter_context(owned(self._scratch))
        return self._scratch


def _portable(error: BaseException) -> BaseException:
    """One that says the same and can travel: what is expected stays so, and ends a run in words."""
    from hyperprune.errors import HyperpruneError, RunError, Stopped

    if isinstance(error, HyperpruneError):
        return Stopped(str(error)) if isinstance(error, Stopped) else RunError(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")
