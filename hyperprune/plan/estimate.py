"""What a run will cost on this machine, from a few timed steps of its network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import torch

from hyperprune.plan.settle import Settled
from hyperprune.runtime.threads import torch_threads
from hyperprune.training.build import build_trainer, measure_spectrum, spectrum_text
from hyperprune.training.trainer import Trainer

PATIENCE = 10.0
"""Seconds after which no further step is timed."""
STEPS = 20
SIMPLE = {"sequences": 1, "protocol": "standard"}


@dataclass(frozen=True)
class Estimate:
    """Seconds of wall clock, by the parts that were timed; `run` is the whole run with so many workers,
    `disk` its bytes."""

    parameters: int  # of the model
    step: float
    steps: int  # an epoch
    validation: float
    spectrum: float
    run: float
    disk: int
    workers: int

    @property
    def epoch(self) -> float:
        """Seconds of one epoch: training, validation and spectrum."""
        return self.step * self.steps + self.validation + self.spectrum


class _Enough(Exception):
    """Ends the timing in the middle of an epoch."""


def estimate(settled: Settled) -> Estimate:
    """Time a few sparse training steps, a piece of validation and a piece of a spectrum.

    Nothing is written. Workers are assumed not to slow each other down.
    """
    recipe, plan = settled.recipe, settled.plan
    with torch_threads(settled.threads):
        trainer = build_trainer(recipe, settled.task, sparse=True)
        device = trainer.device
        step, steps = _time_steps(trainer)
        held = trainer.heldout("valid")
        piece = [held.make(0)]
        validation = _timed(lambda: trainer.evaluate(piece), device) * len(held)
        spectrum = _time_spectrum(settled, trainer) if recipe.spectrum.measure else 0.0
    epoch = step * steps + validation + spectrum
    return Estimate(
        parameters=settled.weights,
        step=step,
        steps=steps,
        validation=validation,
        spectrum=spectrum,
        run=epoch * (plan.dense_epochs + plan.search_epochs / settled.workers),
        disk=settled.disk,
        workers=settled.workers,
    )


def _time_steps(trainer: Trainer) -> tuple[float, int]:
    """Median seconds of a training step, the first left out, and the steps of an epoch."""
    marks = [time.perf_counter()]
    length = 1

    def on_step(step: int, steps: int) -> None:
        nonlocal length
        _settle(trainer.device)
        marks.append(time.perf_counter())
        length = steps
        if step >= STEPS or marks[-1] - marks[0] > PATIENCE:
            raise _Enough

    with suppress(_Enough):
        trainer.run_epoch(on_step)
    gaps = [after - before for before, after in pairwise(marks)]
    return statistics.median(gaps[1:] or gaps), length


def _time_spectrum(settled: Settled, trainer: Trainer) -> float:
    """Seconds of a spectrum, from three steps of one sequence."""
    settings = settled.recipe.spectrum
    short = settings.model_copy(update={"burn_in": 1, "steps": 2, **SIMPLE})
    text = spectrum_text(settled.task, settings)[:3, :1]
    share = settings.sequences * (settings.burn_in + settings.steps) / 3
    return _timed(lambda: measure_spectrum(trainer, text, short), trainer.device) * share


def _timed(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    _settle(device)
    return time.perf_counter() - start


def _settle(device: torch.device) -> None:
    """Wait for what a GPU has been asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
