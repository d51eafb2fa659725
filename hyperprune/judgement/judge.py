"""How far a candidate's spectrum lies from the dense reference's, and what the search minimises."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from hyperprune.errors import PluginError, RunError, SpectrumError
from hyperprune.lyapunov import Distance, LyapunovSpectrum, distance_with_error
from hyperprune.lyapunov.distance import Metric
from hyperprune.plugins import registry
from hyperprune.recipe.records import Recipe
from hyperprune.search.observation import Observation
from hyperprune.search.ranking import ranks
from hyperprune.search.space import Configuration
from hyperprune.store.run import Run
from hyperprune.training.outcome import DENSE, Outcome


class Judge:
    """Scores candidates of a run against its dense reference."""

    def __init__(self, recipe: Recipe, run: Run) -> None:
        choice = recipe.spectrum.distance
        self.name = choice.name
        bound = registry().bind("distance", choice.name, choice.options)
        self.metric = numeric(choice.name, bound)
        self.recipe, self.run = recipe, run
        self._known: dict[tuple[str, int], Distance] = {}

    @property
    def needs_distance(self) -> bool:
        """Whether candidates are judged by LS distance; where not, one that fails costs nothing."""
        return self.recipe.search.objective != "loss"

    def check_metric(self, epoch: int) -> None:
        """Raise RunError where the metric fails for the dense reference against itself.

        Then it fails for every candidate, and the fault is the recipe's or the plugin's.
        """
        try:
            dense = self.spectrum(DENSE, epoch)
        except SpectrumError:  # lost: that is no fault of the metric's
            return
        try:
            self.metric(dense, dense)
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
            final = self.recipe.spectrum.reference == "final"
            reference = self.spectrum(DENSE, self.recipe.train.epochs if final else epoch)
            own = self.spectrum(candidate, epoch)
            score = distance_with_error(self.metric, own, reference, raw=self.recipe.spectrum.raw)
            if not (math.isfinite(score.value) and score.value >= 0):
                raise PluginError(
                    f"distance {self.name!r} gave {score.value} for {candidate} at epoch {epoch}; "
                    "a distance is finite and not negative"
                )
            self._known[candidate, epoch] = score
        return self._known[candidate, epoch]

    def objectives(
        self, outcomes: Sequence[Outcome], epoch: int
    ) -> list[tuple[float, float | None]]:
        """What the search minimises at an epoch, with its standard error where there is one.

        Loss and distance together count by their ranks among the outcomes compared, which have no
        common unit.
        """
        losses = [outcome.epochs[epoch - 1].valid_loss for outcome in outcomes]
        if self.recipe.search.objective == "loss":
            return [(loss, None) for loss in losses]
        scores = [self.score(outcome.candidate, epoch) for outcome in outcomes]
        if self.recipe.search.objective == "distance":
            return [(score.value, score.standard_error) for score in scores]
        both = zip(ranks(losses), ranks([score.value for score in scores]), strict=True)
        return [(by_loss + by_distance, None) for by_loss, by_distance in both]

    def observations(
        self, tried: Sequence[tuple[Configuration, Outcome]], epoch: int
    ) -> tuple[Observation, ...]:
        """What a searcher is told of the candidates that have trained until an epoch."""
        values = iter(
            self.objectives([outcome for _, outcome in tried if outcome.failure is None], epoch)
        )
        return tuple(
            Observation(configuration, *next(values))
            if outcome.failure is None
            else Observation(configuration, None, None, outcome.failure.cause)
            for configuration, outcome in tried
        )


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
