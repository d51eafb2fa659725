"""How far a candidate's spectrum lies from the dense reference's, and what the search minimises."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hyperprune.errors import PluginError, RunError, SpectrumError
from hyperprune.lyapunov import Distance, LyapunovSpectrum, distance_with_error
from hyperprune.lyapunov.distance import Metric
from hyperprune.plugins import registry
from hyperprune.recipe import apply
from hyperprune.recipe.records import Recipe
from hyperprune.search.goal import Point, ordered
from hyperprune.search.objective import Comparison, Objective, Progress, Score, needs_of, scores
from hyperprune.search.observation import Observation
from hyperprune.search.space import Configuration
from hyperprune.store.run import Run
from hyperprune.training.outcome import DENSE, Failure, Outcome, is_int8, repeat_of


@dataclass(frozen=True)
class Standings:
    """Candidates compared: what is minimised, and where size counts, by what it was ordered."""

    scores: Sequence[Score]
    points: Sequence[Point] | None = None
    bound: float | None = None


class Judge:
    """Scores candidates of a run against its dense reference."""

    def __init__(
        self, recipe: Recipe, run: Run, part: Callable[[Configuration], Configuration] = dict
    ) -> None:
        """part: what of a configuration is the recipe's, where the rest is another's."""
        self.name = recipe.spectrum.distance.name
        self.recipe, self.run, self.part = recipe, run, part
        self._known: dict[tuple[str, int], Distance] = {}
        self._losses: dict[str, list[float]] = {}
        self._progresses: dict[tuple[str, int], Progress] = {}
        self._sizes: dict[tuple[str, int], int] = {}
        self._observed: dict[str, Observation] = {}

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
        if self.recipe.arms and self.recipe.in_full:
            return False  # every arm is trained to the end, whatever its spectrum
        return "distances" in self.needs

    @property
    def target(self) -> float | None:
        """The cost to reach, where the recipe gives it."""
        told = self.recipe.dense.target
        return None if told is None else self.run.metric.order(told)

    @property
    def sized(self) -> bool:
        """Whether size counts beside quality."""
        return self.recipe.search.goal != "perplexity"

    def check_metric(self, epoch: int) -> None:
        """Raise RunError where the metric fails for the dense reference against itself.

        Then it fails for every candidate, and the fault is the recipe's or the plugin's.
        """
        try:
            dense = self.spectrum(DENSE, self._dense_epoch(DENSE, epoch))
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
        if self.recipe.dense.weights is not None:
            return 1  # the one that there is
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
        curve = None if dense is None else self._progress_of(dense, len(dense.epochs))
        return Comparison(
            candidates=tuple(self._progress_of(item, epoch) for item in outcomes),
            budget=self.recipe.train.epochs,
            dense=curve,
            target=min(curve.valid_losses) if curve else self.target,
        )

    def _progress_of(self, outcome: Outcome, epoch: int) -> Progress:
        """One candidate until an epoch; it is compared again whenever another is proposed."""
        place = outcome.candidate, epoch
        if place not in self._progresses:
            configuration = self.run.configuration(outcome.candidate)
            self._progresses[place] = self._progress(outcome, epoch, configuration)
        return self._progresses[place]

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
            exploration=[1.0 if r.exploration is None else r.exploration for r in records],
            configuration=configuration,
        )

    def standings(self, outcomes: Sequence[Outcome], epoch: int) -> Standings:
        """What the search minimises at an epoch, a score for each of the candidates compared.

        Where size counts too, a score is a place among them. To be the smallest that meets the target
        is, early, to score as the dense network does after as many epochs: the objective ranks it along.
        """
        name, compared = self.recipe.search.objective.name, self.compared(outcomes, epoch)
        if not self.sized or not outcomes:
            return Standings(scores(self.objective, compared, name))
        whole = replace(compared, candidates=(*compared.candidates, self._dense_until(epoch)))
        *own, dense = scores(self.objective, whole, name)
        points = [
            Point(score.value, self.size(outcome))
            for score, outcome in zip(own, outcomes, strict=True)
        ]
        bound = dense.value if self.recipe.search.goal == "smallest" else None
        place = {index: float(n) for n, index in enumerate(ordered(points, bound))}
        return Standings([Score(place[index]) for index in range(len(points))], points, bound)

    def size(self, outcome: Outcome) -> int:
        """Active masked weights of a candidate; where pruning is gradual, those at its end."""
        place = outcome.candidate, len(outcome.epochs)
        if place not in self._sizes:
            self._sizes[place] = self._size(outcome)
        return self._sizes[place]

    def arrived(self, outcome: Outcome) -> bool:
        """Whether a network is as sparse as it is to be: gradual pruning passes denser ones on its way."""
        return self.arrived_by(outcome.candidate, len(outcome.epochs))

    def arrived_by(self, name: str, epoch: int) -> bool:
        """As `arrived`, after an epoch of a training. One that goes on as int8 keeps the masks it found."""
        if not self._gradual or name == DENSE or is_int8(name):
            return True
        configuration = self.run.configuration(repeat_of(name)[0])
        return apply(self.recipe, self.part(configuration)).arrived(epoch)

    @functools.cached_property
    def _gradual(self) -> bool:
        """Whether a candidate may be pruned gradually."""
        varied = {*self.recipe.space, *(path for arm in self.recipe.arms for path in arm.settings)}
        may = any(path.rpartition(".")[2] == "initial_sparsity" for path in varied)
        return may or self.recipe.prune.initial_sparsity is not None

    def _size(self, outcome: Outcome) -> int:
        last = outcome.epochs[-1]
        if self.recipe.prune.budgeted:
            return last.active
        masked = sum(math.prod(tensor["shape"]) for tensor in last.topology.get("tensors", ()))
        own = self.part(self.run.configuration(outcome.candidate))
        sparsity = apply(self.recipe, own).prune.sparsity
        return int(min(last.active, round((1 - sparsity) * masked)))

    def _dense_until(self, epoch: int) -> Progress:
        """The dense reference as a candidate: at no distance from itself."""
        dense = self.run.outcome(DENSE)
        assert dense is not None
        nothing = [0.0] * epoch
        lost = [record.lost or 0.0 for record in dense.epochs[:epoch]]
        return replace(
            self._progress_of(dense, epoch),
            distances=nothing,
            errors=nothing,
            noises=nothing,
            lost=lost,
            reference_lost=lost,
        )

    def observations(
        self, tried: Sequence[tuple[Configuration, Outcome]], epoch: int
    ) -> tuple[Observation, ...]:
        """What a searcher is told of the candidates that have trained until an epoch."""
        alive = [outcome for _, outcome in tried if outcome.failure is None]
        found = self.standings(alive, epoch)
        points: Sequence[Point | None] = found.points or [None] * len(alive)
        known = iter(zip(found.scores, points, strict=True))
        return tuple(
            self._observation(configuration, outcome.candidate, *next(known), found.bound)
            if outcome.failure is None
            else Observation(configuration, None, None, outcome.failure.cause)
            for configuration, outcome in tried
        )

    def _observation(
        self,
        configuration: Configuration,
        candidate: str,
        score: Score,
        point: Point | None,
        bound: float | None,
    ) -> Observation:
        """What a searcher is told of a candidate: what it was told last, where that still holds."""
        known = self._observed.get(candidate)
        if (
            known is None
            or known.value != score.value
            or known.standard_error != score.standard_error
            or known.point != point
            or known.bound != bound
        ):
            known = observed(configuration, score, point, bound)
            self._observed[candidate] = known
        return known


def observed(
    configuration: Configuration,
    score: Score,
    point: Point | None = None,
    bound: float | None = None,
) -> Observation:
    """What a searcher is told of a candidate's score."""
    return Observation(configuration, score.value, score.standard_error, point=point, bound=bound)


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
