"""A run that is being carried out, as a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hyperprune.events import Event
from hyperprune.execution import Executor
from hyperprune.judgement.judge import Judge
from hyperprune.plan.settle import Settled
from hyperprune.recipe import apply
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.clock import Clock
from hyperprune.search.space import Configuration
from hyperprune.store.run import Run


@dataclass(frozen=True)
class Session:
    """A run that is being carried out."""

    settled: Settled
    run: Run
    judge: Judge
    executor: Executor
    notify: Callable[[Event], None]
    clock: Clock | None = None  # where the run is asked where its time goes
    told: dict[str, int] = field(default_factory=dict)  # epochs that observers know, by candidate

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self.settled.recipe

    def configured(self, configuration: Configuration) -> Recipe:
        """The recipe of one candidate."""
        return apply(self.recipe, configuration)
