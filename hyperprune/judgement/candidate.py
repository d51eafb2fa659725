"""A candidate of a run, and what it came to as the result records it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperprune.errors import PluginError, SpectrumError
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.result import CandidateResult, CandidateState
from hyperprune.search.ranking import survivors
from hyperprune.search.space import Configuration
from hyperprune.training.outcome import Outcome, comparable


@dataclass(frozen=True)
class Candidate:
    """A configuration and all that its training came to so far."""

    name: str
    configuration: Mapping[str, Any]
    outcome: Outcome

    @property
    def best_cost(self) -> float:
        """Lowest cost of the epochs that count; infinite before them."""
        counted = comparable(self.outcome.epochs)
        return min((record.cost for record in counted), default=math.inf)

    def finished(self, budget: int) -> bool:
        """Whether it has trained to the full budget."""
        return self.outcome.failure is None and len(self.outcome.epochs) >= budget


def keep_best(
    judge: Judge, alive: Sequence[Candidate], keep: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who stays of candidates that have trained equally long, best first, and who goes out."""
    judged = min(len(item.outcome.epochs) for item in alive)
    values = judge.standings([item.outcome for item in alive], judged).scores
    scores = {item.name: score.value for item, score in zip(alive, values, strict=True)}
    losses = {item.name: item.best_cost for item in alive}
    kept = survivors(scores, losses, keep, hedge=judge.recipe.rounds.hedge)
    gone = scores.keys() - set(kept)
    return tuple(kept), tuple(name for name in scores if name in gone)


def overlooked(
    judge: Judge, every: Iterable[Candidate], finalists: Iterable[str]
) -> Candidate | None:
    """The eliminated candidate whose cost is below every finalist's best; usually None.

    With `rounds.hedge` and two places or more, each round keeps the lowest loss, so there is one only
    after failures, or with the hedge off. Who is denser yet than it is to be does not count.
    """
    candidates = [item for item in every if item.outcome.failure is None]
    names = set(finalists)
    bar = min((item.best_cost for item in candidates if item.name in names), default=math.inf)
    others = [
        item
        for item in candidates
        if item.name not in names and item.best_cost < bar and judge.arrived(item.outcome)
    ]
    return min(others, key=lambda item: (item.best_cost, item.name), default=None)


def candidate_result(
    judge: Judge,
    name: str,
    configuration: Configuration,
    outcome: Outcome | None,
    target: float | None,
    state: CandidateState,
) -> CandidateResult:
    """How far a candidate came, against the target (a value of the metric) where it is known."""
    epochs = outcome.epochs if outcome else ()
    results = comparable(epochs)
    failure = outcome.failure if outcome else None
    best = min(results, key=lambda record: record.cost, default=None)
    metric = judge.run.metric
    met = (
        r.epoch
        for r in results
        if target is not None and metric.meets(metric.value(r.cost), target)
    )
    arrived = outcome is not None and judge.arrived(outcome)
    score = None
    if epochs and not failure:
        with contextlib.suppress(PluginError, SpectrumError):  # or the dense one is not there yet
            score = judge.score(name, epochs[-1].epoch)
    return CandidateResult(
        name=name,
        configuration=dict(configuration),
        state="failed" if failure else state,
        epochs=len(epochs),
        distance=score.value if score else None,
        distance_error=score.standard_error if score else None,
        distance_noise=score.noise if score else None,
        valid_value=metric.value(best.cost) if best else None,
        best_epoch=best.epoch if best else None,
        met_target=next(met, None) if arrived else None,
        cause=failure.cause if failure else None,
        lost=score.lost if score else None,
        dense_lost=score.reference_lost if score else None,
        exponents=score.exponents if score else None,
        rests_on=score.rests_on if score else None,
    )
