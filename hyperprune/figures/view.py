"""What figures draw from: a run folder, finished or not, read once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from hyperprune import events
from hyperprune.errors import HyperpruneError, RunError
from hyperprune.figures.style import colours
from hyperprune.judgement.histories import History, histories
from hyperprune.judgement.result import CandidateResult, RunResult
from hyperprune.judgement.standing import Standing, open_run, standing
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.recipe.records import Recipe
from hyperprune.store.log import Logged, read_log
from hyperprune.store.run import Run
from hyperprune.terms.metric import Metric
from hyperprune.training.outcome import DENSE, Outcome

MANY = 40
"""Candidates beyond which those that do not stand out share one line in the page."""


@dataclass(frozen=True)
class Tensor:
    """One masked tensor after an epoch: weights, those active, ever active, and by gate."""

    name: str
    size: int
    active: int
    ever_active: int
    gates: Mapping[str, int]


@dataclass(frozen=True)
class RunView:
    """A run as figures see it. Everything is read when it is first asked for, and kept."""

    run: Run
    now: Standing
    recipe: Recipe

    @property
    def metric(self) -> Metric:
        """What its results are told in."""
        return self.now.metric

    @property
    def scale(self) -> str:
        """Of an axis of the metric: what is an exp is drawn by its logarithm."""
        return "log" if self.metric.of == "exp" else "linear"

    @property
    def first(self) -> int:
        """The epoch at which candidates are first judged."""
        return self.recipe.rounds.first

    @cached_property
    def states(self) -> dict[str, str]:
        """How each candidate ended, or stands."""
        return {item.name: item.state for item in self.now.candidates}

    @cached_property
    def candidates(self) -> dict[str, CandidateResult]:
        """Candidates by name."""
        return {item.name: item for item in self.now.candidates}

    @cached_property
    def colours(self) -> dict[str, str]:
        """A colour for every network; many that still train are grey, but for the best."""
        training = [name for name, state in self.states.items() if state == "unfinished"]
        bright = self.leaders if len(training) > MANY else dict.fromkeys([*self.leaders, *training])
        return colours(self.states, bright)

    @cached_property
    def log(self) -> list[Logged]:
        """What happened, and when."""
        return read_log(self.run.folder)

    @cached_property
    def histories(self) -> dict[str, History]:
        """Each training epoch by epoch, the dense reference first."""
        told = (item.event for item in self.log)
        known = {
            (event.candidate, event.epoch): (event.distance, event.standard_error)
            for event in told
            if isinstance(event, events.SpectrumMeasured) and event.distance is not None
        }
        return {item.name: item for item in histories(self.run, known)}

    @cached_property
    def outcomes(self) -> dict[str, Outcome]:
        """What the journal knows of each training."""
        found = ((name, self.run.outcome(name)) for name in (DENSE, *self.states))
        return {name: outcome for name, outcome in found if outcome is not None}

    @cached_property
    def leaders(self) -> list[str]:
        """The winner and the finalists; before there are any, the best three so far."""
        chosen = [name for name, state in self.states.items() if state in ("winner", "finalist")]
        if chosen:
            return sorted(chosen, key=lambda name: (self.states[name] != "winner", name))
        known = [item for item in self.now.candidates if item.valid_value is not None]
        best = sorted(known, key=lambda item: self.metric.order(item.valid_value))
        return [item.name for item in best[:3]]

    def spectrum(self, name: str, epoch: int) -> LyapunovSpectrum | None:
        """A stored spectrum, as distances compare it; None where it is missing or damaged."""
        try:
            return LyapunovSpectrum.load(self.run.training(name).spectrum(epoch)).resolved()
        except HyperpruneError:
            return None

    def tensors(self, name: str) -> dict[int, list[Tensor]]:
        """Masked tensors of a training after each epoch; none where nothing is known of them."""
        if name not in self._seen:
            outcome = self.outcomes.get(name)
            found = {r.epoch: _tensors(r.topology) for r in outcome.epochs} if outcome else {}
            self._seen[name] = {epoch: tensors for epoch, tensors in found.items() if tensors}
        return self._seen[name]

    @cached_property
    def _seen(self) -> dict[str, dict[int, list[Tensor]]]:
        return {}


Source: TypeAlias = RunView | RunResult | Path | str
"""What every figure takes: a result, a run folder, or a view of one that was read before."""


def look(source: Source) -> RunView:
    """Read a run to draw from; raises RunError where there is none."""
    if isinstance(source, RunView):
        return source
    if isinstance(source, RunResult) and not source.folder:
        raise RunError("this result was not read from a run folder: there is nothing to draw from")
    folder = Path(source.folder if isinstance(source, RunResult) else source)
    run = open_run(folder)
    return RunView(run, standing(run), run.made().recipe)


def _tensors(topology: Mapping[str, Any]) -> list[Tensor]:
    try:
        listed: Sequence[Mapping[str, Any]] = topology["tensors"]
        found = [
            Tensor(
                str(item["name"]),
                math.prod(int(extent) for extent in item["shape"]),
                int(item["active"]),
                int(item["ever_active"]),
                {str(gate): int(count) for gate, count in dict(item["gates"]).items()},
            )
            for item in listed
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []
    return [item for item in found if item.size > 0]
