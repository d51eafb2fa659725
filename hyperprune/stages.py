"""The stages of a run. Each takes facts that are known and work that is not done, and gives facts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from hyperprune import events
from hyperprune.assembly import build_model, load_corpus
from hyperprune.errors import PluginError, RunError, SpectrumError
from hyperprune.events import DENSE, Event, Plan
from hyperprune.execution import Executor, resources
from hyperprune.execution.job import Job
from hyperprune.judge import Judge
from hyperprune.model import parameter_count
from hyperprune.outcome import Failure, Outcome
from hyperprune.plugins import registry
from hyperprune.recipe import apply, default_configuration, space_of
from hyperprune.recipe.records import Recipe
from hyperprune.search.observation import Observation, SpaceExhausted
from hyperprune.search.ranking import best
from hyperprune.search.space import Configuration
from hyperprune.seeds import derive
from hyperprune.store import cache, disk
from hyperprune.store.run import Run


@dataclass(frozen=True)
class Session:
    """A run that is being carried out."""

    recipe: Recipe
    run: Run
    judge: Judge
    executor: Executor
    notify: Callable[[Event], None]
    told: dict[str, int] = field(default_factory=dict)  # epochs that observers know, by candidate

    def configured(self, configuration: Configuration) -> Recipe:
        """The recipe of one candidate."""
        return apply(self.recipe, configuration)


@dataclass(frozen=True)
class Candidate:
    """A configuration and all that its training came to so far."""

    name: str
    configuration: Mapping[str, Any]
    outcome: Outcome


def pin_corpus(session: Session) -> None:
    """Make the text a fact of the run; raises RunError when it is not the text it began with."""
    corpus, journal = load_corpus(session.recipe.data), session.run.journal
    known = [fact["sha256"] for fact in journal.records if fact["fact"] == "corpus"]
    if not known:
        journal.append({"fact": "corpus", "name": corpus.name, "sha256": corpus.sha256})
    elif known[0] != corpus.sha256:
        raise RunError(
            f"the corpus {corpus.name} has changed since the run began (sha256 {known[0][:12]}…, now "
            f"{corpus.sha256[:12]}…); bring back the old text, or start a new run"
        )


def look_at_disk(session: Session, plan: Plan) -> None:
    """Estimate the disk the run will fill; raises RunError where it cannot even begin."""
    recipe, folder = session.recipe, session.run.folder
    model = build_model(recipe, len(load_corpus(recipe.data).vocabulary), torch.device("cpu"))
    weights = parameter_count(model)
    need = disk.run_bytes(plan, weights, recipe, resources(recipe)[0])
    first = disk.checkpoint_bytes(weights, recipe.train.optimizer) + disk.best_bytes(weights)
    doubt = disk.check_space(folder, need, first)
    if doubt is not None:
        session.notify(events.Notice(doubt))


class DenseReference:
    """The dense reference: begun at once, waited for when a candidate is first judged.

    So the first candidates, which need no results to be proposed, train beside it.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        recipe, run = session.recipe, session.run
        self.folder = run.training(DENSE)
        corpus = load_corpus(recipe.data)
        self.key = cache.dense_key(recipe, corpus.sha256, run.made().made_with)
        self.epochs = recipe.train.epochs
        self._cached: Outcome | None = None
        if run.outcome(DENSE) is None:
            history = cache.fetch(self.key, self.folder, self.epochs)
            self._cached = Outcome(DENSE, history) if history else None
        if self._cached is None:
            self._started = _start(session, DENSE, recipe, False, self.epochs)
        else:
            session.notify(events.Notice("the dense reference comes from the cache"))

    @functools.cached_property
    def outcome(self) -> Outcome:
        """All its epochs, once they are there; raises RunError where it failed."""
        if self._cached is not None:
            self.session.run.record_outcome(self._cached)
            _announce(self.session, self._cached)
            return self._cached
        outcome = _finish(self.session, self._started)
        if outcome.failure is not None:
            raise RunError(f"the dense reference failed: {outcome.failure.cause}")
        if self._started.ticket is not None:
            try:
                cache.publish(self.key, self.folder, outcome.epochs)
            except RunError as error:  # the next run trains it again; this one has it
                self.session.notify(events.Notice(f"the dense reference is not cached: {error}"))
        return outcome


def propose(session: Session, dense: DenseReference) -> list[Candidate]:
    """Ask the searcher for candidates and train each for the first epochs.

    The suggestion for candidate k sees exactly the results of candidates up to k − workers, in
    whatever order they finish, so a run depends on the number of workers but not on their speed.
    """
    recipe, run, executor = session.recipe, session.run, session.executor
    space = space_of(recipe)
    searcher = registry().get("searcher", recipe.search.searcher.name)
    suggest = searcher.bind(recipe.search.searcher.options)
    recorded = run.proposed()
    first = default_configuration(recipe) if recipe.search.default_first else None
    chosen: list[tuple[str, Configuration]] = []
    started: list[_Started] = []
    finished: list[Candidate] = []

    def history() -> tuple[Observation, ...]:
        tried = [(item.configuration, item.outcome) for item in finished]
        return session.judge.observations(tried, recipe.rounds.first)

    def finish_next() -> None:
        to_come = max(len(chosen), len(recorded)) < recipe.search.candidates
        if not finished and to_come:
            searcher.prepare()  # every worker is busy: now it costs no time
        _ = dense.outcome  # what candidates are judged against
        name, configuration = chosen[len(finished)]
        outcome = _finish(session, started[len(finished)])
        finished.append(Candidate(name, configuration, outcome))

    for k in range(recipe.search.candidates):
        while len(finished) <= k - executor.workers:
            finish_next()
        name = f"c{k:03d}"
        if name in recorded:
            configuration: Configuration = recorded[name]
        else:
            pending = [item for _, item in chosen[len(finished) :]]
            try:
                configuration = (
                    first
                    if k == 0 and first is not None
                    else suggest(space, history(), pending, derive(recipe.seed, "search"))
                )
            except SpaceExhausted:
                session.notify(
                    events.Notice(f"all {k} configurations of the space have been tried")
                )
                break
        if not space.contains(configuration):
            raise RunError(f"the configuration of {name} lies outside the recipe's space")
        if name not in recorded:
            run.journal.append(
                {"fact": "proposed", "candidate": name, "configuration": dict(configuration)}
            )
        session.notify(events.CandidateProposed(name, configuration))
        chosen.append((name, configuration))
        settings = session.configured(configuration)
        started.append(_start(session, name, settings, True, recipe.rounds.first))
    while len(finished) < len(chosen):
        finish_next()
    return finished


def halve(
    session: Session, pool: list[Candidate], number: int, keep: int, epoch: int
) -> list[Candidate]:
    """Keep the best `keep` of the pool by the objective, and train them on until `epoch`."""
    alive = [item for item in pool if item.outcome.failure is None]
    judged = min(len(item.outcome.epochs) for item in alive)
    values = session.judge.objectives([item.outcome for item in alive], judged)
    scores = {item.name: value for item, (value, _) in zip(alive, values, strict=True)}
    kept = best(scores, keep)
    eliminated = [name for name in scores if name not in kept]
    if eliminated:
        session.notify(events.RoundFinished(number, tuple(kept), tuple(eliminated)))
    for name in eliminated:
        session.run.training(name).discard_state()
    survivors = [item for item in alive if item.name in kept]
    work = {item.name: (session.configured(item.configuration), True) for item in survivors}
    outcomes = _train(session, work, epoch)
    return [replace(item, outcome=outcomes[item.name]) for item in survivors]


@dataclass(frozen=True)
class _Started:
    """Work handed out (a ticket), or work that was a fact already (an outcome)."""

    job: Job
    ticket: Any = None
    outcome: Outcome | None = None


def _train(
    session: Session, work: Mapping[str, tuple[Recipe, bool]], epoch: int
) -> dict[str, Outcome]:
    """Train networks side by side until an epoch; outcomes in the order of their names given."""
    started = [_start(session, name, *item, epoch) for name, item in work.items()]
    return {item.job.candidate: _finish(session, item) for item in started}


def _start(session: Session, name: str, recipe: Recipe, sparse: bool, epoch: int) -> _Started:
    job = Job(name, session.run.training(name).path, recipe.model_dump(mode="json"), sparse, epoch)
    known = session.run.outcome(name, until=epoch)
    if known is not None and (known.failure is not None or len(known.epochs) >= epoch):
        lost = () if known.failure else session.run.training(name).lost(len(known.epochs))
        if not lost:
            return _Started(job, outcome=known)
        session.notify(events.Notice(f"{lost[0]} is gone; {name} is trained anew, to the same"))
        session.run.training(name).discard_state()
    return _Started(job, ticket=session.executor.submit(job))


def _finish(session: Session, started: _Started) -> Outcome:
    """Wait for work, retry what may pass, judge it, and make it a fact."""
    outcome = started.outcome
    if outcome is None:
        outcome = session.executor.wait(started.ticket)
        for _ in range(session.recipe.final.retries):
            if outcome.failure is None or not outcome.failure.transient:
                break
            outcome = session.executor.wait(session.executor.submit(started.job))
        outcome = _judged(session, outcome)
        if outcome.candidate == DENSE and outcome.failure and outcome.failure.transient:
            raise RunError(
                f"the dense reference failed: {outcome.failure.cause}; resume tries again"
            )
        session.run.record_outcome(outcome)
    if outcome.failure is not None or len(outcome.epochs) >= session.recipe.train.epochs:
        session.run.training(outcome.candidate).discard_state()
    _announce(session, outcome)
    return outcome


def _judged(session: Session, outcome: Outcome) -> Outcome:
    """Score an outcome's epochs; a metric that cannot score one is the candidate's failure."""
    if outcome.candidate == DENSE or outcome.failure is not None:
        return outcome
    try:
        for record in outcome.epochs:
            session.judge.score(outcome.candidate, record.epoch)
    except (PluginError, SpectrumError) as error:
        return replace(outcome, failure=Failure("raised", str(error)))
    return outcome


def _announce(session: Session, outcome: Outcome) -> None:
    """Tell observers what an outcome's spectra say, and why it failed if it did."""
    for record in outcome.epochs[session.told.get(outcome.candidate, 0) :]:
        score = None
        if outcome.candidate != DENSE and outcome.failure is None:
            score = session.judge.score(outcome.candidate, record.epoch)
        session.notify(
            events.SpectrumMeasured(
                outcome.candidate,
                record.epoch,
                record.valid_loss,
                score.value if score else None,
                score.standard_error if score else None,
                score.noise if score else None,
                record.largest,
                record.floored,
            )
        )
    session.told[outcome.candidate] = len(outcome.epochs)
    if outcome.failure is not None:
        session.notify(
            events.CandidateFailed(
                outcome.candidate, len(outcome.epochs) + 1, outcome.failure.cause
            )
        )
