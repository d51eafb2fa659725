"""Where a run stands, put together from its events: what any view of it shows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hyperprune import events
from hyperprune.events import Event, Plan
from hyperprune.terms.metric import PERPLEXITY
from hyperprune.training.outcome import DENSE, is_further, repeat_of
from hyperprune.ui.workers import Workers

State = Literal["waiting", "training", "trained", "measured", "kept", "eliminated", "failed"]

WINDOW = 90.0
"""Seconds of the past that say how fast a run goes: it changes speed with its stages."""


@dataclass
class Row:
    """One network: its settings, how far it is, and what is known of it."""

    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    state: State = "waiting"
    epoch: int = 0  # finished
    part: float = 0.0  # of the epoch it is in
    trained: int = 0  # epochs finished while we watched
    distance: float | None = None
    distance_error: float | None = None
    lost: float | None = None  # directions of the spectrum, mean over sequences
    cost: float | None = None  # validation, what the metric tells
    best_cost: float | None = None  # of the epochs at its sparsity; before them the last
    arrived: bool = False  # at its sparsity
    losses: list[float] = field(
        default_factory=list
    )  # validation, of each epoch, as far as they were told
    cause: str = ""


class Board:
    """The state of a run. `tell` it every event; nothing else changes it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.started = clock()
        self.plan: Plan | None = None
        self.metric = PERPLEXITY
        self.folder = ""
        self.resumed = False
        self.stage = ""
        self.dense = Row(DENSE)
        self.given_target: float | None = None  # cost to reach, where the recipe gives it
        self.candidates: dict[str, Row] = {}
        self.workers = Workers(clock)
        self.notices: list[str] = []
        self.result: Mapping[str, Any] | None = None
        self.begun = False  # a network has trained a step in this sitting
        self._lost = 0  # epochs that failed candidates will not train
        self._pace: deque[tuple[float, float]] = deque([(self.started, 0.0)])

    def tell(self, event: Event) -> None:
        """Take in an event."""
        self.workers.tell(event)
        match event:
            case events.RunStarted():
                self.plan, self.folder, self.resumed = event.plan, event.folder, event.resumed
                self.metric, self.given_target = event.metric, event.target
            case events.StageStarted():
                self.stage = event.stage
            case events.CandidateProposed():
                own = {"arm": event.arm} if event.arm else event.configuration
                self.row(event.candidate).configuration = own
            case events.StepFinished():
                row = self.row(event.candidate)
                self.begun = True
                row.state, row.part = "training", event.step / max(1, event.steps)
                row.epoch = max(row.epoch, event.epoch - 1)  # of an earlier sitting
                self._note_pace()
            case events.EpochFinished():
                row = self.row(event.candidate)
                row.trained += 1
                if event.epoch >= self.goal(event.candidate):
                    row.state = "trained"  # and not judged yet
                self._reach(row, event)
                self._note_pace()
            case events.SpectrumMeasured():
                row = self.row(event.candidate)
                self._reach(row, event)
                if row.state in ("waiting", "training", "trained"):
                    row.state = "measured"
                row.lost = event.lost
                if event.distance is not None:
                    row.distance, row.distance_error = event.distance, event.standard_error
            case events.CandidateFailed():
                row = self.row(event.candidate)
                row.state, row.cause, row.part = "failed", event.cause, 0.0
                self._lost += max(0, self.stage_target - row.epoch)
            case events.RoundFinished():
                for name in event.kept:
                    self.row(name).state = "kept"
                for name in event.eliminated:
                    self.row(name).state = "eliminated"
            case events.WorkerChanged() if event.state in ("gone", "refused"):
                self.notices.append(f"worker {event.worker} is {event.state}: {event.cause}")
            case events.WorkerSaid():
                self.notices.append(f"{event.worker}: {event.message}")
            case events.Notice():
                self.notices.append(event.message)
            case events.RunFinished():
                self.result = event.result

    def row(self, name: str) -> Row:
        """The row of a network, made when it is first heard of."""
        if name == DENSE:
            return self.dense
        if name not in self.candidates:
            base = self.candidates.get(repeat_of(name)[0])
            self.candidates[name] = Row(name, base.configuration if base else {})
        return self.candidates[name]

    @property
    def round(self) -> int | None:
        """The round that the stage is, counted from 1; None for the dense reference and the end."""
        number = "1" if self.stage == "search" else self.stage.removeprefix("round ")
        rounds = len(self.plan.rounds) if self.plan else 0
        return next((r for r in range(1, rounds + 1) if str(r) == number), None)

    @property
    def stage_target(self) -> int:
        """The epoch that the stage's candidates train to."""
        if self.plan is None:
            return 0
        if self.stage == "int8":
            return self.plan.int8_epochs
        return self.plan.rounds[self.round - 1][1] if self.round else self.plan.epochs

    def goal(self, name: str) -> int:
        """The epoch that a network trains to in this stage."""
        return self.plan.epochs if self.plan and name == DENSE else self.stage_target

    @property
    def distances(self) -> bool:
        """Whether spectra are held against the dense reference's."""
        return self.plan is None or self.plan.distances

    @property
    def target_cost(self) -> float | None:
        """Lowest cost of the dense reference: what candidates are held against."""
        return self.given_target if self.dense.best_cost is None else self.dense.best_cost

    @property
    def aim(self) -> str:
        """What that is, in words."""
        return "dense target" if self.given_target is None else "given target"

    @property
    def references(self) -> tuple[Row, ...]:
        """The dense reference, where there is one."""
        return (self.dense,) if self.given_target is None else ()

    @property
    def best(self) -> Row | None:
        """The candidate with the lowest cost so far, of those at their sparsity where there are some."""
        rows = [row for row in self.candidates.values() if not is_further(row.name)]
        alive = [row for row in rows if row.state != "failed"]
        known = [row for row in alive if row.best_cost is not None]
        return min(known, key=lambda row: (not row.arrived, row.best_cost, row.name), default=None)

    @property
    def total(self) -> int:
        """Epochs that the run will have trained in the end."""
        if self.plan is None:
            return 0
        return max(0, self.plan.dense_epochs + self.plan.search_epochs - self._lost)

    @property
    def done(self) -> float:
        """Epochs behind us, those of an earlier sitting and unfinished ones included."""
        rows = (self.dense, *self.candidates.values())
        return min(self.total, sum(row.epoch + row.part for row in rows))

    @property
    def elapsed(self) -> float:
        """Seconds since this sitting began."""
        return self._clock() - self.started

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at the recent pace; None while there is none to go by."""
        (then, before), (now, after) = self._pace[0], self._pace[-1]
        if after <= before or now - then < 1.0:
            return None
        left = (self.total - self.done) * (now - then) / (after - before)
        return max(0.0, left - (self._clock() - now))

    def _reach(self, row: Row, event: events.EpochFinished | events.SpectrumMeasured) -> None:
        if event.epoch < row.epoch:
            return
        if event.epoch > row.epoch or not row.losses:
            row.losses.append(event.valid_loss)
        row.epoch, row.part = event.epoch, 0.0
        row.cost = event.cost
        # What gradual pruning passes on its way is denser than asked, and no result.
        compared = row.best_cost if row.arrived and event.arrived else None
        row.best_cost = row.cost if compared is None else min(row.cost, compared)
        row.arrived = event.arrived

    def _note_pace(self) -> None:
        now = self._clock()
        if now - self._pace[-1][0] < 0.5:
            return
        rows = (self.dense, *self.candidates.values())
        self._pace.append((now, sum(row.trained + row.part for row in rows)))
        while len(self._pace) > 2 and now - self._pace[1][0] > WINDOW:
            self._pace.popleft()
