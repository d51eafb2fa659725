"""How far a candidate's spectrum lies from the dense reference's, and what the search minimises."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hyperprune.errors import PluginError, RunError, SpectrumError
from hyperprune.lyapunov import Distance, LyapunovSpectrum, distance_with_error
from hyperprune.lyapunov.distance import Metric
from hyperprune.plugins import registry
from hyperprune.recipe.records import Recipe
from hyperprune.search.objective import Comparison, Objective, Progress, Score, needs_of, scores
from hyperprune.search.observation import Observation
from hyperprune.search.space import Configuration
from hyperprune.store.run import Run
from hyperprune.training.outcome import DENSE, Failure, Outcome


class Judge:
    """Scores candidates of a run against its dense reference."""

    def __init__(self, recipe: Recipe, run: Run) -> None:
        self.name = recipe.spectrum.distance.name
        self.recipe, self.run = recipe, run
        self._known: dict[tuple[str, int], Distance] = {}
        self._losses: dict[str, list[float]] = {}

    @functools.cached_property
    def metric(self) -> Metric:
        """The recipe's distance; raises PluginError where nobody offers it, as in a look at a run
        whose own code is not run."""
        choice = self.recipe.spectrum.distance
        return numeric(choice.name, registry().bind("distance", choice.name, choice.options))

    @functools.cached_property
    def objective(self) -> Objective:
        """What the recipe minimises early; raises PluginError as `metric` does."""
        aim = self.recipe.search.objective
        bound: Objective = registry().bind("objective", aim.name, aim.options)
        return bound

    @property
    def needs(self) -> frozenset[str]:
        """What the objective cannot do without."""
        return needs_of(self.objective)

    @property
    def needs_distance(self) -> bool:
        """Whether candidates are judged by LS distance; if not, a distance that fails costs nothing."""
        return "distances" in self.needs

    def check_metric(self, epoch: int) -> None:
        """Raise RunError where the metric fails for the dense reference against itself.

        Then it fails for every candidate, and the fault is the recipe's or the plugin's.
        """
        try:
            dense = self.spectrum(DENSE, epoch)
        except SpectrumError:  # the file is lost, which is not the metric's fault
            return
        try:
            if not math.isfinite(value := self.metric(dense, dense)):
                raise PluginError(f"distance {self.name!r} gave {value}, which is no distance")
        except (PluginError, SpectrumError) as error:
            raise RunError(
                f"spectrum.distance: {error}. It fails for the dense reference against itself, so "
                "every candidate would: choose another distance in a new run, or mend the plugin "
                "and resume"
            ) from error

    def spectrum(self, candidate: str, epoch: int) -> LyapunovSpectrum:
        """The stored spectrum of a training at an epoch."""
        return LyapunovSpectrum.load(self.run.training(candidate).spectrum(epoch))

    def score(self, candidate: str, epoch: int) -> Distance:
        """LS distance at an epoch; raises PluginError where the metric answers with no distance."""
        if (candidate, epoch) not in self._known:
            reference = self.spectrum(DENSE, self._dense_epoch(candidate, epoch))
            own = self.spectrum(candidate, epoch)
            score = distance_with_error(self.metric, own, reference, raw=self.recipe.spectrum.raw)
            if not (math.isfinite(score.value) and score.value >= 0):
                raise PluginError(
                    f"distance {self.name!r} gave {score.value} for {candidate} at epoch {epoch}; "
                    "a distance is finite and not negative"
                )
            self._known[candidate, epoch] = score
        return self._known[candidate, epoch]

    def _dense_epoch(self, candidate: str, epoch: int) -> int:
        """Epoch of the dense spectrum that a candidate's is compared with."""
        which = self.recipe.spectrum.reference
        if which == "same_epoch":
            return epoch
        if which == "final":
            return self.recipe.train.epochs
        if len(self._losses.get(candidate, ())) < epoch:
            known = self.run.outcome(candidate)
            if known is not None:
                self.learn(known)
        dense = self.run.outcome(DENSE)
        if dense is None or len(self._losses.get(candidate, ())) < epoch:
            raise SpectrumError(f"the losses of {candidate} at epoch {epoch} are not known yet")
        curve = [record.valid_loss for record in dense.epochs]
        return nearest_epoch(self._losses[candidate][epoch - 1], curve)

    def learn(self, outcome: Outcome) -> None:
        """Take note of the losses of a training that the journal does not know yet."""
        self._losses[outcome.candidate] = [record.valid_loss for record in outcome.epochs]

    def checked(self, outcome: Outcome) -> Outcome:
        """Score an outcome's epochs; a metric that cannot score one is the candidate's failure."""
        self.learn(outcome)
        try:
            for record in outcome.epochs:
                self.score(outcome.candidate, record.epoch)
        except (PluginError, SpectrumError) as error:
            if not self.needs_distance:
                return outcome
            self.check_metric(outcome.epochs[0].epoch)
            return replace(outcome, failure=Failure("raised", str(error)))
        return outcome

    def compared(self, outcomes: Sequence[Outcome], epoch: int) -> Comparison:
        """What is known of candidates after an epoch, and of the dense reference to its end."""
        dense = self.run.outcome(DENSE)
        curve = None if dense is None else self._progress(dense, len(dense.epochs), {})
        known = self.run.proposed()
        return Comparison(
            candidates=tuple(
                self._progress(item, epoch, known.get(item.candidate, {})) for item in outcomes
            ),
            budget=self.recipe.train.epochs,
            dense=curve,
            target=min(curve.valid_losses) if curve else None,
        )

    def _progress(self, outcome: Outcome, epoch: int, configuration: Configuration) -> Progress:
        """One training until an epoch; spectra are read only where the objective asks for them."""
        records = outcome.epochs[:epoch]
        spectral = "distances" in self.needs and outcome.candidate != DENSE
        scores = [self.score(outcome.candidate, r.epoch) for r in records] if spectral else []
        return Progress(
            train_losses=[record.train_loss for record in records],
            valid_losses=[record.valid_loss for record in records],
            distances=[score.value for score in scores],
            errors=[score.standard_error for score in scores],
            noises=[score.noise for score in scores],
            lost=[score.lost for score in scores],
            reference_lost=[score.reference_lost for score in scores],
            exploration=[float(r.topology.get("exploration", 1.0)) for r in records],
            configuration=configuration,
        )

    def objectives(self, outcomes: Sequence[Outcome], epoch: int) -> list[Score]:
        """What the search minimises at an epoch, a score for each of the candidates compared."""
        name = self.recipe.search.objective.name
        return scores(self.objective, self.compared(outcomes, epoch), name)

    def observations(
        self, tried: Sequence[tuple[Configuration, Outcome]], epoch: int
    ) -> tuple[Observation, ...]:
        """What a searcher is told of the candidates that have trained until an epoch."""
        values = iter(
            self.objectives([outcome for _, outcome in tried if outcome.failure is None], epoch)
        )
        return tuple(
            observed(configuration, next(values))
            if outcome.failure is None
            else Observation(configuration, None, None, outcome.failure.cause)
            for configuration, outcome in tried
        )


def observed(configuration: Configuration, score: Score) -> Observation:
    """What a searcher is told of a candidate's score."""
    return Observation(configuration, score.value, score.standard_error)


def nearest_epoch(loss: float, curve: Sequence[float]) -> int:
    """Epoch (from 1) at which a curve comes nearest to a loss; the earliest of several."""
    gaps = [abs(loss - other) for other in curve]
    return gaps.index(min(gaps)) + 1


def numeric(name: str, metric: Callable[..., Any]) -> Metric:
    """A metric whose answers are floats; raises PluginError where one is no number."""

    def measure(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
        answer = metric(candidate, reference)
        try:
            return float(answer)
        except (TypeError, ValueError, RuntimeError):
            raise PluginError(
                f"distance {name!r} returned {type(answer).__name__}, not a number"
            ) from None

    return measure
