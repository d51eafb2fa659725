"""What each training of a run did, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hyperprune.errors import HyperpruneError
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.standing import recipe_of
from hyperprune.store.run import Run
from hyperprune.training.outcome import DENSE

Known: TypeAlias = Mapping[tuple[str, int], tuple[float | None, float | None]]
"""LS distance and its standard error, by candidate and epoch."""


@dataclass(frozen=True)
class History:
    """One training: the metric on validation, LS distance and its error after each epoch."""

    name: str
    epochs: tuple[int, ...]
    value: tuple[float, ...]  # of the metric
    distance: tuple[float | None, ...]  # None for the dense reference, or where it is not known
    error: tuple[float | None, ...]
    largest: tuple[float | None, ...]  # largest exponent, nats per step
    lost: tuple[float | None, ...] = ()  # lost directions, mean over sequences, where recorded


def histories(run: Run, known: Known | None = None) -> Iterator[History]:
    """Read every training of a run, the dense reference first.

    Distances that are `known`, by the run's log, are not measured again.
    """
    known = known or {}
    judge = Judge(recipe_of(run), run)
    for name in (DENSE, *run.proposed()):
        outcome = run.outcome(name)
        if outcome is None or not outcome.epochs:
            continue
        scores = [
            known.get((name, record.epoch)) or _score(judge, name, record.epoch)
            for record in outcome.epochs
        ]
        yield History(
            name=name,
            epochs=tuple(record.epoch for record in outcome.epochs),
            value=tuple(run.metric.value(record.cost) for record in outcome.epochs),
            distance=tuple(distance for distance, _ in scores),
            error=tuple(error for _, error in scores),
            largest=tuple(record.largest for record in outcome.epochs),
            lost=tuple(record.lost for record in outcome.epochs),
        )


def _score(judge: Judge, name: str, epoch: int) -> tuple[float | None, float | None]:
    if name == DENSE:
        return None, None
    try:
        score = judge.score(name, epoch)
    except HyperpruneError:  # a spectrum is missing or damaged: the rest is worth showing
        return None, None
    return score.value, score.standard_error
