"""A run as plain text, one line an event: for logs, pipes and terminals without a cursor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from hyperprune import events
from hyperprune.events import Event
from hyperprune.plugins import said
from hyperprune.terms.duration import duration
from hyperprune.training.outcome import DENSE
from hyperprune.ui.board import Board
from hyperprune.ui.text import (
    configured,
    four_places,
    lost_of,
    measured,
    number,
    safe,
)


class ScreenLost(Exception):
    """What is watched on cannot be written to any more."""


class PlainLines:
    """Writes a line an event, with the time since the start; steps are left out.

    When the reader of a pipe goes away the lines stop and the run goes on. So they do on a full disk
    and a closed stream, which are raised once, for whoever runs to note in its log.
    """

    def __init__(self, stream: TextIO, board: Board | None = None) -> None:
        self.stream, self.board = stream, board or Board()
        self._broken = False

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Take in an event and write its line."""
        self.board.tell(event)
        line = describe(event, self.board)
        if line is None or self._broken:
            return
        who, what = line
        try:
            self.stream.write(f"{duration(self.board.elapsed):>8}  {safe(who):<9} {what}\n")
            self.stream.flush()
        except BrokenPipeError:  # a reader that has seen enough
            self._broken = True
        except (
            OSError,
            ValueError,
            AttributeError,
        ) as error:  # no stream, a closed one, a full disk
            self._broken = True
            raise ScreenLost(f"the screen is gone ({said(error)}); the run goes on") from error


def describe(event: Event, board: Board) -> tuple[str, str] | None:
    """Say an event as (who, what); None where it is not worth a line."""
    tell: Callable[..., tuple[str, str] | None] | None = _LINES.get(type(event))
    return tell(event, board) if tell else None


def _run_started(event: events.RunStarted, board: Board) -> tuple[str, str]:
    plan = event.plan
    return "resume" if event.resumed else "run", (
        f"{safe(plan.title or 'untitled')} in {safe(event.folder)}: {plan.candidates} candidates, "
        f"{plan.search_epochs} epochs (full training {plan.full_search_epochs}), "
        f"dense reference {plan.dense_epochs}"
    )


def _stage_started(event: events.StageStarted, board: Board) -> tuple[str, str]:
    left = board.seconds_left
    about = f", about {duration(left)} left" if left is not None else ""
    return "stage", f"{safe(event.stage)}: {event.epochs} epochs{about}"


def _proposed(event: events.CandidateProposed, board: Board) -> tuple[str, str]:
    own = configured(event.configuration)
    return event.candidate, f"{safe(event.arm)}: {own}" if event.arm else own


def _epoch(event: events.EpochFinished, board: Board) -> tuple[str, str]:
    target, metric = board.target_cost, board.metric
    sparse = event.candidate != DENSE and event.arrived
    met = sparse and target is not None and event.cost <= target
    training = (
        metric.told(event.train_loss)
        if event.valid_cost is None
        else f"loss {number(event.train_loss)}"
    )
    return event.candidate, (
        f"epoch {event.epoch}/{board.goal(event.candidate)}: "
        f"validation {metric.words} {metric.told(event.cost)}, training {training}"
        + (", averaging" if event.averaging else "")
        + (f", meets the {board.aim} {metric.told(target)}" if met else "")
    )


def _spectrum(event: events.SpectrumMeasured, board: Board) -> tuple[str, str]:
    if event.largest is None:
        return event.candidate, f"epoch {event.epoch}: saved"
    lost = f", {lost_of(event.lost, event.exponents)}" if event.lost else ""
    distance = (
        f"LS distance {measured(event.distance, event.standard_error)} "
        f"(noise {four_places(event.noise)}), "
        if event.distance is not None
        else ""
    )
    largest = f"largest exponent {number(event.largest)}{lost}"
    return event.candidate, f"epoch {event.epoch}: {distance}{largest}"


def _failed(event: events.CandidateFailed, board: Board) -> tuple[str, str]:
    return event.candidate, f"failed in epoch {event.epoch}: {safe(event.cause)}"


def _round(event: events.RoundFinished, board: Board) -> tuple[str, str]:
    kept, gone = (" ".join(map(safe, names)) for names in (event.kept, event.eliminated))
    return f"round {event.round}", f"kept {kept}; eliminated {gone}"


def _worker(event: events.WorkerChanged, board: Board) -> tuple[str, str] | None:
    if event.state in ("idle", "working"):
        return None
    left = f" while it trained {safe(event.candidate)}" if event.candidate else ""
    where = f"{safe(event.node)}, {safe(event.device)}"
    return event.worker, f"{event.state}{left} ({where}): {safe(event.cause)}"


def _worker_said(event: events.WorkerSaid, board: Board) -> tuple[str, str]:
    return event.worker, safe(event.message)


def _notice(event: events.Notice, board: Board) -> tuple[str, str]:
    return "note", safe(event.message)


def _finished(event: events.RunFinished, board: Board) -> tuple[str, str]:
    return "done", f"the run is in {safe(event.folder)}"


_LINES: dict[type, Callable[..., tuple[str, str] | None]] = {
    events.RunStarted: _run_started,
    events.StageStarted: _stage_started,
    events.CandidateProposed: _proposed,
    events.EpochFinished: _epoch,
    events.SpectrumMeasured: _spectrum,
    events.CandidateFailed: _failed,
    events.RoundFinished: _round,
    events.WorkerChanged: _worker,
    events.WorkerSaid: _worker_said,
    events.Notice: _notice,
    events.RunFinished: _finished,
}
