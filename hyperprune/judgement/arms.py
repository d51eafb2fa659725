"""Every method of a study from every seed, as far as it has trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hyperprune.recipe.records import Recipe
from hyperprune.training.outcome import DENSE, EpochRecord, Outcome, best_of, repeat_name

if TYPE_CHECKING:
    from hyperprune.store.run import Run


@dataclass(frozen=True)
class Training:
    """One training of an arm, from one seed: what its best epoch by validation loss came to.

    density: share of active weights, by masked tensor; exploration: share of masked weights that were
    ever active, at the end. None where it is not known, or the training failed.
    """

    name: str  # of its folder in the run
    seed: int
    epochs: int
    valid: float | None = None
    test: float | None = None
    best_epoch: int | None = None
    active: int | None = None
    masked: int | None = None
    density: Mapping[str, float] = field(default_factory=dict)
    exploration: float | None = None
    cause: str | None = None  # why it failed

    @property
    def share(self) -> float | None:
        """Active share of the masked weights."""
        return self.active / self.masked if self.active is not None and self.masked else None


@dataclass(frozen=True)
class Arm:
    """One method of a study, the dense network among them, and its trainings in the order of seeds."""

    name: str
    candidate: str
    configuration: Mapping[str, Any]
    trainings: tuple[Training, ...]

    def values(self, what: str) -> dict[int, float]:
        """A figure by seed, such as `valid`, where it is known."""
        found = {item.seed: getattr(item, what) for item in self.trainings}
        return {seed: value for seed, value in found.items() if value is not None}


def arms_of(
    run: Run, recipe: Recipe, tested: Callable[[str, Mapping[str, Any]], float] | None = None
) -> tuple[Arm, ...]:
    """Every arm of a run, the dense network first; empty where the run compares no arms.

    `tested(training, configuration)` is the metric of a finished training on the test split; without
    it none is told.
    """
    if not recipe.in_full:
        return ()
    proposed = run.proposed()
    labels = recipe.arm_names
    seeds = [recipe.seed_of(number) for number in range(1, recipe.final.seeds + 1)]
    return tuple(
        Arm(
            labels.get(candidate, candidate),
            candidate,
            configuration,
            tuple(
                _training(run, recipe, name, seed, configuration, tested)
                for name, seed in zip(_names(candidate, len(seeds)), seeds, strict=True)
            ),
        )
        for candidate, configuration in {DENSE: {}, **proposed}.items()
    )


def _names(candidate: str, count: int) -> Iterator[str]:
    yield candidate
    for number in range(2, count + 1):
        yield repeat_name(candidate, number)


def _training(
    run: Run,
    recipe: Recipe,
    name: str,
    seed: int,
    configuration: Mapping[str, Any],
    tested: Callable[[str, Mapping[str, Any]], float] | None,
) -> Training:
    outcome = run.outcome(name) or Outcome(name, ())
    if outcome.failure is not None or not outcome.epochs:
        cause = outcome.failure.cause if outcome.failure else None
        return Training(name, seed, len(outcome.epochs), cause=cause)
    best = best_of(outcome.epochs)
    given = name == DENSE and bool(recipe.dense.given)  # which has one epoch
    whole = given or len(outcome.epochs) >= recipe.train.epochs
    return Training(
        name=name,
        seed=seed,
        epochs=len(outcome.epochs),
        valid=run.metric.value(best.cost),
        test=tested(name, configuration) if tested and whole else None,
        best_epoch=best.epoch,
        active=best.active if best.topology else None,
        masked=best.masked if best.topology else None,
        density=densities(best),
        exploration=outcome.epochs[-1].exploration,
    )


def densities(record: EpochRecord) -> dict[str, float]:
    """Share of active weights of each masked tensor after an epoch."""
    return {
        str(tensor["name"]): tensor["active"] / math.prod(tensor["shape"])
        for tensor in record.topology.get("tensors", ())
    }
