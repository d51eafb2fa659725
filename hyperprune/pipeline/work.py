"""Trainings handed out, waited for, judged, and made facts of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hyperprune import events
from hyperprune.errors import RunError
from hyperprune.execution.job import Job
from hyperprune.judgement.telling import spectrum_measured
from hyperprune.pipeline.session import Session
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.clock import part
from hyperprune.training.outcome import DENSE, Outcome, is_further, repeat_of


@dataclass(frozen=True)
class Started:
    """Work handed out (a ticket), or work that was a fact already (an outcome)."""

    job: Job
    epoch: int  # until which it is asked for; the job goes further where later epochs are facts
    ticket: Any = None
    outcome: Outcome | None = None


def train(
    session: Session,
    work: Mapping[str, tuple[Recipe, bool]],
    epoch: int,
    *,
    weights: bool = True,
    int8: bool = False,
) -> dict[str, Outcome]:
    """Train networks side by side until an epoch; outcomes in the order of their names given."""
    started = [
        start(session, name, *item, epoch, weights=weights, int8=int8)
        for name, item in work.items()
    ]
    return {item.job.candidate: finish(session, item) for item in started}


def start(
    session: Session,
    name: str,
    recipe: Recipe,
    sparse: bool,
    epoch: int,
    *,
    weights: bool = True,
    int8: bool = False,
) -> Started:
    """Hand out a training until an epoch, unless its outcome is a fact and its files are there.

    `weights`: its best weights must be there; an eliminated candidate's were deleted on purpose.
    `int8`: it goes on from the best weights of the training it is named after, as eight bits hold them.
    """
    folder = session.run.training(name)
    job = Job(
        name,
        folder.path,
        recipe.model_dump(mode="json"),
        sparse,
        epoch,
        int8,
        session.clock is not None,
    )
    known = session.run.outcome(name, until=epoch)
    if known is not None:
        # Held against all that was ever known: best weights may be those of a later stage's epoch.
        whole = session.run.outcome(name) or known
        lost = [] if known.failure else folder.lost(whole.epochs, weights=weights)
        if not lost and (known.failure is not None or len(known.epochs) >= epoch):
            return Started(job, epoch, outcome=known)
        if lost:
            session.notify(events.Notice(f"{lost[0]}; {name} is trained anew, to the same"))
            folder.discard_state()
            job = replace(job, epochs=max(epoch, len(whole.epochs)))
    if int8:
        folder.give(session.run.training(repeat_of(name)[0]))
    return Started(job, epoch, ticket=session.executor.submit(job))


def finish(session: Session, started: Started) -> Outcome:
    """Wait for work, retry transient failures, judge the outcome and journal it.

    The outcome is what a later sitting will read of it.
    """
    outcome = started.outcome
    if outcome is None:
        with part(session.clock, "waiting"):
            outcome = session.executor.wait(started.ticket)
            for _ in range(session.recipe.final.retries):
                if outcome.failure is None or not outcome.failure.transient:
                    break
                outcome = session.executor.wait(session.executor.submit(started.job))
        outcome = _told(session, outcome).until(started.epoch)
        with part(session.clock, "judging"):
            outcome = _judged(session, outcome)
        _check_needed(session, outcome, started.epoch)
        session.run.record_outcome(outcome)
        outcome = session.run.outcome(outcome.candidate, until=started.epoch) or outcome
    whole = started.job.int8 or len(outcome.epochs) >= session.recipe.train.epochs
    if outcome.failure is not None or whole:
        session.run.training(outcome.candidate).discard_state()
    with part(session.clock, "judging"):
        announce(session, outcome)
    return outcome


def _told(session: Session, outcome: Outcome) -> Outcome:
    """An outcome with the epochs that a worker which was killed could not tell: its checkpoint does."""
    if outcome.failure is None or outcome.failure.kind != "killed":
        return outcome
    folder = session.run.training(outcome.candidate)
    return replace(outcome, epochs=folder.history(session.settled.task.metric))


def _check_needed(session: Session, outcome: Outcome, epoch: int) -> None:
    """Raise RunError where bad luck took what a run cannot do without: its dense reference, or a
    training that is a fact already and lost a file."""
    if outcome.failure is None or not outcome.failure.transient:
        return
    known = session.run.outcome(outcome.candidate, until=epoch)
    again = known is not None and known.failure is None and len(known.epochs) >= epoch
    if outcome.candidate == DENSE or again:
        who = "the dense reference" if outcome.candidate == DENSE else outcome.candidate
        raise RunError(f"{who} failed: {outcome.failure.cause}; resume tries again")


def _judged(session: Session, outcome: Outcome) -> Outcome:
    """Score an outcome's epochs; a metric that cannot score one is the candidate's failure."""
    return session.judge.checked(outcome) if _scored(outcome) else outcome


def _scored(outcome: Outcome) -> bool:
    """Whether an outcome's spectra are held against the dense reference's."""
    return not (outcome.candidate == DENSE or is_further(outcome.candidate) or outcome.failure)


def announce(session: Session, outcome: Outcome) -> None:
    """Tell observers what an outcome's spectra say, and why it failed if it did."""
    for record in outcome.epochs[session.told.get(outcome.candidate, 0) :]:
        told = spectrum_measured(session.judge, outcome.candidate, record, scored=_scored(outcome))
        session.notify(told)
    session.told[outcome.candidate] = len(outcome.epochs)
    if outcome.failure is not None:
        session.notify(
            events.CandidateFailed(
                outcome.candidate, len(outcome.epochs) + 1, outcome.failure.cause
            )
        )
