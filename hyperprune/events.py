"""What happens in a run, as small frozen records that observers are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hyperprune.terms.metric import PERPLEXITY, Metric

DENSE = "dense"
"""The candidate name under which events speak of the dense reference."""


@dataclass(frozen=True)
class Plan:
    """What a run will do, before it does it: rounds, and epochs of all networks together."""

    title: str
    candidates: int
    rounds: tuple[tuple[int, int], ...]  # (candidates in the round, epoch each reaches)
    finalists: int
    epochs: int  # full budget of one training
    dense_epochs: int  # of the dense reference, from every seed
    search_epochs: int  # all candidates, rounds and finalists
    full_search_epochs: int  # candidates × full budget
    int8_epochs: int = 0  # that each finalist trains on as int8
    distances: bool = True  # whether spectra are held against the dense reference's


@dataclass(frozen=True)
class RunStarted:
    """A run begins, or goes on, in its folder."""

    folder: str
    plan: Plan
    resumed: bool
    metric: Metric = PERPLEXITY  # what results are told in
    target: float | None = None  # cost to reach, where the recipe gives it


@dataclass(frozen=True)
class StageStarted:
    """A stage begins: `dense`, `search`, `round 2`, `final`, `int8`; `epochs` is what it will train."""

    stage: str
    epochs: int


@dataclass(frozen=True)
class CandidateProposed:
    """The search has chosen a configuration to try."""

    candidate: str
    configuration: Mapping[str, Any]
    arm: str = ""  # its name in a study


@dataclass(frozen=True)
class StepFinished:
    """Progress inside an epoch: for the screen only, never journaled."""

    candidate: str
    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class EpochFinished:
    """A network has trained one more epoch, and its checkpoint is on the disk."""

    candidate: str
    epoch: int
    train_loss: float  # in the unit of the task, such as nats per token
    valid_loss: float
    averaging: bool
    valid_cost: float | None = None  # what the metric tells, where it is not the validation loss
    seconds: float | None = None  # that it took: training, validation, spectrum and saving
    arrived: bool = True  # at its sparsity: gradual pruning passes denser networks on its way

    @property
    def cost(self) -> float:
        """What trainings are compared by: lower is better."""
        return self.valid_loss if self.valid_cost is None else self.valid_cost


@dataclass(frozen=True)
class SpectrumMeasured:
    """An epoch's loss is known, and its spectrum if it has one: now, or by an earlier sitting or run."""

    candidate: str
    epoch: int
    valid_loss: float
    distance: float | None  # None for the dense reference
    standard_error: float | None
    noise: float | None  # same-model noise of the distance
    largest: float | None  # largest exponent, nats per step; None where no spectrum was measured
    floored: int
    lost: float | None = None  # directions lost below the resolution, mean over sequences
    exponents: int | None = None  # of how many
    valid_cost: float | None = None  # what the metric tells, where it is not the validation loss
    arrived: bool = True  # at its sparsity, as `EpochFinished` tells

    @property
    def cost(self) -> float:
        """What trainings are compared by: lower is better."""
        return self.valid_loss if self.valid_cost is None else self.valid_cost


@dataclass(frozen=True)
class CandidateFailed:
    """A network could not be trained on; the run goes on without it."""

    candidate: str
    epoch: int
    cause: str


@dataclass(frozen=True)
class RoundFinished:
    """A round has been judged: who trains on, and who does not."""

    round: int
    kept: tuple[str, ...]
    eliminated: tuple[str, ...]


WorkerState: TypeAlias = Literal["idle", "working", "gone", "refused"]


@dataclass(frozen=True)
class WorkerChanged:
    """A worker took up a job, is free again, is gone, or was sent away before it worked."""

    worker: str  # the name it is spoken of by: w1, w2, …
    node: str  # the machine it is on
    device: str
    pid: int | None
    state: WorkerState
    candidate: str = ""  # whose network it trains, or trained when it was lost
    cause: str = ""


@dataclass(frozen=True)
class WorkerSaid:
    """A line that a worker logged, warned of or printed."""

    worker: str
    message: str


@dataclass(frozen=True)
class TimeSpent:
    """Where the time of a network's epoch went, or (`candidate` empty) of the process that leads the run.

    Told where a run is asked for it. `parts` has seconds by name, `other` for what has none; `wall` is
    the same stretch of time by another clock.
    """

    candidate: str
    epoch: int
    parts: Mapping[str, float]
    wall: float


@dataclass(frozen=True)
class Notice:
    """Something a person should know that is neither progress nor failure."""

    message: str


@dataclass(frozen=True)
class RunFinished:
    """The winner is known; `result` is what `result.json` holds."""

    folder: str
    result: Mapping[str, Any]


Event: TypeAlias = (
    RunStarted
    | StageStarted
    | CandidateProposed
    | StepFinished
    | EpochFinished
    | SpectrumMeasured
    | CandidateFailed
    | RoundFinished
    | WorkerChanged
    | WorkerSaid
    | TimeSpent
    | Notice
    | RunFinished
)
Observer: TypeAlias = Callable[[Event], None]
