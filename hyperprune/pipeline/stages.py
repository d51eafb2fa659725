"""The stages of a run. Each takes facts that are known and work that is not done, and gives facts."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import replace
from functools import partial

from hyperprune import events
from hyperprune.errors import PluginError, RunError
from hyperprune.judgement.candidate import Candidate, keep_best, overlooked
from hyperprune.pipeline.dense import DenseReference
from hyperprune.pipeline.finals import at_target
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.suggest import Suggester
from hyperprune.pipeline.work import Started, finish, start, train
from hyperprune.plugins import Contribution, registry
from hyperprune.runtime.clock import part
from hyperprune.search.observation import Observation, SpaceExhausted
from hyperprune.search.space import Configuration, key_of
from hyperprune.training.outcome import Outcome


def propose(session: Session, dense: DenseReference) -> list[Candidate]:
    """Ask the searcher for candidates and train each for the first epochs.

    The suggestion for candidate k sees exactly the results of candidates up to k − workers, in
    whatever order they finish, so a run depends on the number of workers but not on their speed.
    """
    recipe, run, executor = session.recipe, session.run, session.executor
    space, firsts = session.settled.space, session.settled.firsts
    choice = recipe.search.searcher
    searcher = registry().get("searcher", choice.name)
    suggester = Suggester.of(searcher, choice, space, recipe.seed, partial(_note, session))
    recorded = run.proposed()
    (_, epoch), *_ = session.settled.plan.rounds
    pending: deque[tuple[str, Configuration]] = deque()  # proposed, and not finished
    started: dict[str, Started] = {}
    finished: dict[str, Candidate] = {}
    first_of: dict[str, str] = {}  # who had a configuration first, by its key
    repeated: dict[str, str] = {}
    met = False

    def history() -> tuple[Observation, ...]:
        tried = [(item.configuration, item.outcome) for item in finished.values()]
        return session.judge.observations(tried, epoch)

    def finish_next() -> None:
        nonlocal met
        more = max(len(pending), len(recorded)) < recipe.search.candidates
        if more and not finished and getattr(executor, "beside", True):
            with part(session.clock, "suggestions"):
                _prepare(session, searcher)  # every worker is busy: now it costs least
        dense.wait()  # what candidates are judged against
        name, configuration = pending.popleft()
        if name in repeated:
            outcome = finished[repeated[name]].outcome
        else:
            outcome = finish(session, started[name])
            if not finished:
                _warn_early(session, name, outcome)
        finished[name] = Candidate(name, configuration, outcome)
        met = met or bool(at_target(session, dense, [finished[name]]))

    for k in range(recipe.search.candidates):
        while len(finished) <= k - executor.workers:
            finish_next()
        if met:
            break  # what trains already is waited for, so that the run does not depend on speed
        name = f"c{k:03d}"
        if name in recorded:
            configuration: Configuration = recorded[name]
        elif k < len(firsts):
            configuration = firsts[k]
        else:
            try:
                with part(session.clock, "suggestions"):
                    configuration = suggester.ask(name, history(), [item for _, item in pending])
            except SpaceExhausted:
                _note(session, f"all {k} configurations of the space have been tried")
                break
        if not space.contains(configuration):
            raise RunError(f"the configuration of {name} lies outside the recipe's space")
        if name not in recorded:
            run.journal.append(
                {"fact": "proposed", "candidate": name, "configuration": dict(configuration)}
            )
        pending.append((name, configuration))
        owner = first_of.setdefault(key_of(configuration), name)
        if owner != name:
            repeated[name] = owner
            _note(session, f"{name} is {owner} again, whose result counts for both")
            continue
        session.notify(events.CandidateProposed(name, configuration))
        settings = session.configured(configuration)
        keep = recipe.final.keep == "all" or recipe.in_full  # else they may be gone for good
        started[name] = start(session, name, settings, True, epoch, weights=keep)
    while pending:
        finish_next()
    if repeated:
        _note(
            session,
            f"searcher {choice.name!r} proposed {len(repeated)} of {len(finished)} candidates again; "
            "they were not trained twice",
        )
    return [item for name, item in finished.items() if name not in repeated]


def _note(session: Session, message: str) -> None:
    session.notify(events.Notice(message))


def _prepare(session: Session, searcher: Contribution) -> None:
    """Let the searcher load what it needs; where it cannot, it says so when it is asked."""
    if hasattr(searcher.target, "prepare"):
        _note(session, f"searcher {searcher.name!r} loads what it needs, which takes some seconds")
    with contextlib.suppress(PluginError):
        searcher.ask("prepare")


def _warn_early(session: Session, name: str, outcome: Outcome) -> None:
    """Warn, if the first candidate judged fails, that the fault may be the recipe's."""
    failure = outcome.failure
    if failure is None or failure.kind != "raised":
        return
    _note(
        session,
        f"{name}, the first to be judged, failed. Where the cause lies in the recipe and not in "
        f"what {name} varies, every candidate will fail alike: {failure.cause}",
    )


def halve(
    session: Session,
    dense: DenseReference,
    pool: list[Candidate],
    number: int,
    keep: int,
    epoch: int,
) -> list[Candidate]:
    """Keep the best `keep` of the pool by the objective, and train them on until `epoch`.

    A run that stops at the target goes an epoch at a time, all side by side, and no further than the
    first in which it is met.
    """
    recipe = session.recipe
    alive = [item for item in pool if item.outcome.failure is None]
    judged = min(len(item.outcome.epochs) for item in alive)
    with part(session.clock, "judging"):
        kept, eliminated = keep_best(session.judge, alive, keep)
    if eliminated:
        session.notify(events.RoundFinished(number, kept, eliminated))
    losses = {item.name: item.best_cost for item in alive}
    lowest = min(losses[name] for name in kept)
    for name in eliminated:
        if losses[name] < lowest and recipe.final.rescue:
            continue  # the rescue may train it on
        session.run.training(name).discard_state()
        if recipe.final.keep == "finalists" and judged < recipe.train.epochs:
            session.run.training(name).discard_weights()
    pool = [item for item in alive if item.name in kept]
    if not recipe.final.stop_at_target:
        return train_on(session, pool, epoch)
    done = {item.name: item for item in pool}
    for step in range(judged + 1, epoch + 1):
        able = [item for item in done.values() if item.outcome.failure is None]
        done.update({item.name: item for item in train_on(session, able, step)})
        if at_target(session, dense, done.values()):
            break
    return list(done.values())


def train_on(session: Session, pool: list[Candidate], epoch: int) -> list[Candidate]:
    """Train candidates on until an epoch, side by side."""
    work = {item.name: (session.configured(item.configuration), True) for item in pool}
    # On resume, whoever a later round eliminated is replayed here without the weights it has lost.
    final = session.recipe.final.keep == "all" or epoch >= session.recipe.train.epochs
    outcomes = train(session, work, epoch, weights=final)
    return [replace(item, outcome=outcomes[item.name]) for item in pool]


def rescue(session: Session, every: dict[str, Candidate]) -> list[str]:
    """Train eliminated candidates on whose loss is below every finisher's; names of all that finished.

    One at a time, the lowest loss first, until no eliminated candidate has a lower loss.
    """
    budget = session.recipe.train.epochs
    while True:
        finished = [item.name for item in every.values() if item.finished(budget)]
        missed = overlooked(session.judge, every.values(), finished)
        if missed is None or not session.recipe.final.rescue:
            return finished
        left = budget - len(missed.outcome.epochs)
        session.notify(events.StageStarted("rescue", left))
        (every[missed.name],) = train_on(session, [missed], budget)
