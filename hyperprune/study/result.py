"""What the trials of a study came to, as records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hyperprune.judgement.candidate import Candidate
from hyperprune.judgement.judge import Judge
from hyperprune.search.goal import Point
from hyperprune.search.goal import winner as won
from hyperprune.training.outcome import DENSE, comparable

State: TypeAlias = Literal["winner", "finalist", "eliminated", "failed", "unfinished", "dense"]


@dataclass(frozen=True)
class TrialResult:
    """How far a trial came.

    loss: its lowest, of `best_epoch`. distance: to the dense reference's spectrum, of its last epoch; None
    where the objective does without. cause: why it failed.
    """

    name: str
    configuration: Mapping[str, Any]
    state: State
    epochs: int
    loss: float | None
    best_epoch: int | None
    distance: float | None
    cause: str | None


def results(judge: Judge, every: Sequence[Candidate], *, finished: bool) -> tuple[TrialResult, ...]:
    """Every candidate's result; the winner is chosen by the goal of those that trained to the end."""
    budget = judge.recipe.train.epochs
    whole = [item for item in every if finished and item.finished(budget)]
    winner = _winner(judge, whole) if whole else None

    def state(item: Candidate) -> State:
        if item.name == winner:
            return "winner"
        if item.outcome.failure is not None:
            return "failed"
        if item in whole:
            return "finalist"
        return "eliminated" if finished else "unfinished"

    return tuple(result(judge, item, state(item)) for item in every)


def _winner(judge: Judge, whole: Sequence[Candidate]) -> str:
    points = {item.name: Point(item.best_cost, judge.size(item.outcome)) for item in whole}
    dense = judge.run.outcome(DENSE)
    assert dense is not None  # it is trained before any
    return won(points, judge.recipe.search.goal, Candidate(DENSE, {}, dense).best_cost)


def result(judge: Judge, item: Candidate, state: State) -> TrialResult:
    """One trial's result."""
    epochs, failure = item.outcome.epochs, item.outcome.failure
    best = min(comparable(epochs), key=lambda record: record.valid_loss, default=None)
    scored = epochs and item.name != DENSE and not failure and judge.needs_distance
    return TrialResult(
        name=item.name,
        configuration=item.configuration,
        state=state,
        epochs=len(epochs),
        loss=best.valid_loss if best else None,
        best_epoch=best.epoch if best else None,
        distance=judge.score(item.name, epochs[-1].epoch).value if scored else None,
        cause=failure.cause if failure else None,
    )
