"""Checks of an installation and of a run folder, for `hyperprune doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hyperprune.errors import HyperpruneError
from hyperprune.training.outcome import DENSE

if TYPE_CHECKING:
    from hyperprune.store.run import Run

LITTLE_SPACE = 2 << 30
"""Bytes of free disk below which a run may fail."""
DATA = "HYPERPRUNE_DATA"
TESTED = ("torch", "ax-platform", "botorch")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: fine, worth knowing, or wrong."""

    name: str
    state: Literal["ok", "note", "wrong"]
    found: str


def check_installation() -> Iterator[Check]:
    """Look at Python, libraries, devices, plugins, corpora and disk."""
    import hyperprune

    supported = sys.version_info >= (3, 11)
    yield Check("python", "ok" if supported else "wrong", platform.python_version())
    yield Check("hyperprune", "ok", hyperprune.__version__)
    for package in TESTED:
        try:
            yield Check(package, "ok", metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Check(package, "wrong", f"not installed; pip install {package}")
    yield from _device()
    yield from _executors()
    yield from _plugins()
    yield from _corpora()
    yield from _folders()


def check_run(folder: Path) -> Iterator[Check]:
    """Look over a run folder: is it whole, is it in use, can it go on, and what to do if not."""
    from hyperprune.judgement.standing import open_run, standing
    from hyperprune.store import atomic
    from hyperprune.store.lock import owner_of

    try:
        run = open_run(folder)
        now = standing(run)
    except HyperpruneError as error:
        yield Check("run", "wrong", str(error))
        return
    yield Check("run", "ok", f"{now.title or 'untitled'}, {len(run.journal.records)} facts")
    owner = owner_of(folder)
    if now.result is not None:
        yield Check("result", "ok", "there")
    elif now.ended is not None:
        yield Check("result", "wrong", f"over: {now.ended}; change the recipe, in a new run")
    elif owner is not None:
        yield Check("result", "ok", f"not yet: {owner} works on it")
        yield from _workers(run)
    else:
        yield Check("result", "note", f"not finished; hyperprune resume {folder} goes on")
        yield from _going_on(run)
    partial = sorted(folder.rglob(f"*{atomic.PARTIAL}"))
    if partial and owner is None:
        yield Check("left-overs", "note", f"{len(partial)} files of a broken write; never read")
    names = (DENSE, *run.proposed())
    kept = {item.name for item in now.candidates if item.state in ("winner", "finalist")}
    every = run.made().recipe.final.keep == "all"
    for name in names:
        weights = every or name in (DENSE, *kept)
        yield from _training(run, name, finished=now.result is not None, weights=weights)
    yield Check("training folders", "ok", f"{len(names)} looked over")


def _going_on(run: Run) -> Iterator[Check]:
    """Whether a run can go on here, and to the same bits."""
    from hyperprune.pipeline.changes import check_unchanged

    try:
        _, notices = check_unchanged(run)
    except HyperpruneError as error:
        yield Check("recipe", "wrong", str(error))
        return
    for notice in notices:
        yield Check("changed", "note", notice)
    free = shutil.disk_usage(run.folder).free
    if free < LITTLE_SPACE:
        yield Check("disk", "note", f"{free / 2**30:.1f} GiB free where the run lies")


def _training(run: Run, name: str, *, finished: bool, weights: bool) -> Iterator[Check]:
    """Files of a training that are lost or damaged, and what to do; a finished run makes none again."""
    from hyperprune.lyapunov import LyapunovSpectrum
    from hyperprune.store import atomic, layout

    outcome, folder = run.outcome(name), run.training(name)
    if outcome is not None and outcome.failure is not None:
        yield Check(name, "note", f"failed: {outcome.failure.cause}")
    elif outcome is not None:
        for lost in folder.lost(outcome.epochs, weights=weights):
            if finished:
                yield Check(name, "wrong", f"{lost}; bring it back, or run the recipe anew")
            else:
                yield Check(name, "note", f"{lost}; resuming makes it again if it is needed")
    spectra = sorted((folder.path / layout.SPECTRA).glob("*.safetensors"))
    for path in (*spectra, folder.best, folder.checkpoint):
        try:
            if path in spectra:
                LyapunovSpectrum.load(path)
            elif path.exists():
                atomic.read_tensors(path)
        except HyperpruneError as error:
            mend = "bring it back" if finished else "delete it, and resuming makes it again"
            yield Check(name, "wrong", f"{error}; {mend}")


def _device() -> Iterator[Check]:
    try:
        import torch
    except Exception as error:  # a broken installation may raise anything on import
        yield Check("device", "wrong", f"torch cannot be imported: {error}")
        return
    cores = os.cpu_count() or 1
    threads = f"{cores} cores, {torch.get_num_threads()} torch threads"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Check("device", "ok", f"{', '.join(names)}; {threads}")
    else:
        yield Check("device", "ok", f"no GPU that torch can use; {threads}")


def _executors() -> Iterator[Check]:
    """What each executor has to work with, by its own account."""
    from hyperprune.plugins import registry

    for item in registry().of_kind("executor"):
        try:
            found = item.ask("about")
        except HyperpruneError as error:
            yield Check(f"executor {item.name}", "note", str(error))
            continue
        if found is not None:
            yield Check(f"executor {item.name}", "ok", str(found))


def _workers(run: Run) -> Iterator[Check]:
    """Who works on a run now, as its log has it."""
    from hyperprune.store.log import read_log
    from hyperprune.ui.workers import Workers

    log = read_log(run.folder)
    now = time.time()
    clock = [now]
    workers = Workers(lambda: clock[0])
    for item in log:
        clock[0] = item.time.timestamp()
        workers.tell(item.event)
    clock[0] = now
    for worker in workers.known.values():
        state: Literal["ok", "note"] = "ok" if worker.state in ("idle", "working") else "note"
        state = "note" if workers.slow(worker) else state
        place = f"{worker.node}, {worker.device}: {workers.doing(worker)}"
        yield Check(f"worker {worker.name}", state, place)


def _plugins() -> Iterator[Check]:
    from hyperprune.plugins import registry

    found = registry()
    packages = sorted({item.package for item in found.contributions.values()})
    yield Check("plugins", "ok", f"{len(found.contributions)} from {', '.join(packages)}")
    for broken in found.broken:
        yield Check(f"plugin {broken.package}", "wrong", broken.reason)


def _corpora() -> Iterator[Check]:
    place = os.environ.get(DATA)
    if place is None:
        yield Check("corpora", "ok", f"{DATA} is not set; those that ship are found or downloaded")
    elif Path(place).expanduser().is_dir():
        yield Check("corpora", "ok", f"{DATA} is {place}")
    else:
        yield Check("corpora", "wrong", f"{DATA} is {place}, which is not a folder")


def _folders() -> Iterator[Check]:
    from hyperprune.store.cache import cache_root

    for name, place in (("cache", cache_root()), ("working folder", Path.cwd())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                free = shutil.disk_usage(place).free
        except OSError as error:
            yield Check(name, "wrong", f"cannot write {place}: {error.strerror}")
            continue
        room = f"{place}, {free / 2**30:.1f} GiB free"
        yield Check(name, "ok" if free >= LITTLE_SPACE else "note", room)
