"""A candidate of a run, and what it came to as the result records it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hyperprune.errors import PluginError, SpectrumError
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.result import CandidateResult, CandidateState
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


def overlooked(every: Iterable[Candidate], finalists: Iterable[str]) -> Candidate | None:
    """The candidate that went out with a lower cost than every finalist's best; None as a rule.

    Where rounds keep the lowest loss (`rounds.hedge`, from two places up) there is none: whoever goes
    out has a higher loss than somebody who stays. Only failures, or a hedge that is off, make one.
    """
    candidates = [item for item in every if item.outcome.failure is None]
    names = set(finalists)
    bar = min((item.best_cost for item in candidates if item.name in names), default=math.inf)
    others = [item for item in candidates if item.name not in names and item.best_cost < bar]
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
        met_target=next(met, None),
        cause=failure.cause if failure else None,
        lost=score.lost if score else None,
        dense_lost=score.reference_lost if score else None,
        exponents=score.exponents if score else None,
        rests_on=score.rests_on if score else None,
    )
