"""Train one network from its last checkpoint: the work that every executor hands out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from hyperprune.errors import (
    CorpusError,
    Diverged,
    HyperpruneError,
    PluginError,
    RecipeError,
    RunError,
    Stopped,
)
from hyperprune.events import EpochFinished, Event, StepFinished, TimeSpent
from hyperprune.execution.job import Job
from hyperprune.plugins import GROUP, registry, said, use
from hyperprune.plugins.contribution import ENDINGS
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.allocation import keep_freed_memory
from hyperprune.runtime.clock import Clock, part
from hyperprune.runtime.patience import Note, Silent, at_work, patient, word
from hyperprune.runtime.signals import by_a_person
from hyperprune.store.lock import owned
from hyperprune.store.training import TrainingFolder
from hyperprune.task import Task
from hyperprune.training.build import build_trainer, load_task, measure_spectrum, spectrum_text
from hyperprune.training.outcome import EpochRecord, Failure, Outcome, is_further, recorded

PATIENCE = 60.0
"""Seconds to wait for an orphan of a killed run to notice and leave the folder."""
LONGEST = 1000
"""Characters of a cause that are kept."""


def advance(
    job: Job,
    emit: Callable[[Event], None],
    stopping: Callable[[], bool],
    note: Note | None = None,
) -> Outcome:
    """Train until the job's epoch, saving a checkpoint after each; a failure is a value, not an exception.

    `note` is told who is at work, for whoever finds this process dead.

    Raises Stopped when asked to stop, and RunError when disk, text or device fail: neither is the
    candidate's fault, and both leave the last checkpoint to go on from. Whatever else is raised,
    also what is no Exception, ends the candidate.
    """
    keep_freed_memory()
    spent = _Spent(job, emit) if job.profile else None
    recipe = Recipe.model_validate(job.recipe)
    use(recipe.plugins)
    history: list[EpochRecord] = []
    elsewhere: list[BaseException] = []  # raised by who listens, and by who stops

    def tell(event: Event) -> None:
        try:
            emit(event)
        except BaseException as error:
            elsewhere.append(error)
            raise

    try:
        with patient(recipe.search.silence, note), at_work(job.candidate):
            task = _data(recipe)
            with owned(job.folder, PATIENCE):
                _train(job, recipe, task, history, tell, stopping, elsewhere, spent)
        return Outcome(job.candidate, tuple(history))
    except (Stopped, RunError):
        raise
    except RecipeError as error:  # the device is gone: no candidate's failure
        raise RunError(str(error)) from error
    except Diverged as error:
        failure = Failure("diverged", str(error))
    except BaseException as error:  # a plugin's mistake ends its candidate, never the run
        if any(error is other for other in elsewhere):
            raise  # an observer's: it may end the run
        if isinstance(error, KeyboardInterrupt) and by_a_person(error):
            raise
        if _out_of_memory(error):
            failure = Failure("memory", f"out of memory: {error}"[:LONGEST])
        else:
            failure = Failure("raised", _cause(error, recipe)[:LONGEST])
    if spent is not None:
        spent.tell(len(history) + 1)
    return Outcome(job.candidate, tuple(history), failure)


class _Spent:
    """Tells where the time of a training goes, an epoch at a time, from the moment it is made."""

    def __init__(self, job: Job, emit: Callable[[Event], None]) -> None:
        self.job, self.emit = job, emit
        self.clock, self.since = Clock(), time.monotonic()

    def tell(self, epoch: int) -> None:
        """Tell what has passed since the last call."""
        parts, now = self.clock.take(), time.monotonic()
        self.emit(TimeSpent(self.job.candidate, epoch, parts, now - self.since))
        self.since = now


def _data(recipe: Recipe) -> Task:
    """Load what is trained on; raises RunError where it is gone, which is no candidate's failure."""
    try:
        return load_task(recipe)
    except (CorpusError, PluginError) as error:
        raise RunError(str(error)) from error


def _cause(error: BaseException, recipe: Recipe) -> str:
    """Why a candidate failed, in words; what a plugin's network raises is raised in its name."""
    if isinstance(error, (HyperpruneError, Silent)) and not isinstance(error, ENDINGS):
        return str(error)
    whose = _stranger(recipe)
    return f"{whose}: {said(error)}" if whose else said(error)


def _stranger(recipe: Recipe) -> str:
    """The network's plugin, where it is not ours: it is at work in every step."""
    model = registry().contributions.get(("model", recipe.model.name))
    known = model is None or model.package == GROUP
    return "" if known or model is None else f"model {model.name!r} of {model.package}"


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out; torch says so by a class of its own on a GPU, by words on a CPU."""
    if isinstance(error, PluginError):
        return _out_of_memory(error.__cause__)
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = said(error) if isinstance(error, RuntimeError) else ""  # a stranger's may not be shown
    return "can't allocate memory" in words or "not enough memory" in words


def _train(
    job: Job,
    recipe: Recipe,
    task: Task,
    history: list[EpochRecord],
    emit: Callable[[Event], None],
    stopping: Callable[[], bool],
    elsewhere: list[BaseException],
    spent: _Spent | None,
) -> None:
    folder = TrainingFolder(job.folder)
    clock = spent.clock if spent else None
    measures = recipe.spectrum.measure and not is_further(job.candidate)
    with part(clock, "loading"):
        given = folder.read_given() if job.int8 else None
        trainer = build_trainer(recipe, task, sparse=job.sparse, int8=given)
        text = spectrum_text(task, recipe.spectrum) if measures else None
        history += folder.restore(trainer)
    if not history:
        folder.save_start(trainer)
    if clock is not None:
        if trainer.device.type == "cuda":
            clock.settle = torch.cuda.synchronize
        trainer.time_with(clock)

    whose = _stranger(recipe)

    def on_step(step: int, steps: int) -> None:
        word()
        if stopping():
            elsewhere.append(Stopped("stopped"))
            raise elsewhere[-1]
        emit(StepFinished(job.candidate, trainer.epoch + 1, step, steps))

    while trainer.epoch < job.epochs:
        began = time.perf_counter()
        with at_work(whose) if whose else nullcontext():
            try:
                metrics = trainer.run_epoch(on_step)
                word()
                with part(clock, "spectra"):
                    spectrum = (
                        None if text is None else measure_spectrum(trainer, text, recipe.spectrum)
                    )
            except ENDINGS as error:
                if whose and not any(error is other for other in elsewhere):  # the network's own
                    raise PluginError(f"{whose} raised {said(error)}") from error
                raise
        topology = trainer.sparse.topology() if trainer.sparse else None
        history.append(recorded(metrics, spectrum, topology))
        with part(clock, "saving"):
            folder.save(trainer, spectrum, history)
        emit(
            EpochFinished(
                job.candidate,
                metrics.epoch,
                metrics.train_loss,
                metrics.valid_loss,
                metrics.averaging,
                metrics.valid_cost,
                time.perf_counter() - began,
                not job.sparse or job.int8 or recipe.arrived(metrics.epoch),
            )
        )
        if spent is not None:
            spent.tell(metrics.epoch)
