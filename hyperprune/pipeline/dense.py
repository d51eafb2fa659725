"""The dense reference of a run: given, from the cache, or trained beside the first candidates."""

from __future__ import annotations

import functools

from hyperprune import events
from hyperprune.errors import RunError
from hyperprune.pipeline.given import adopt
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.work import Started, announce, finish, start
from hyperprune.store import cache
from hyperprune.training.outcome import DENSE, Outcome


class DenseReference:
    """The dense reference: begun at once, waited for when a candidate is first judged.

    So the first candidates, which need no results to be proposed, train beside it. Where the recipe
    gives no more than a target, there is no outcome.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        recipe, run = session.recipe, session.run
        self.folder = run.training(DENSE)
        text = session.settled.corpus.sha256
        self.key = cache.dense_key(recipe, text, run.made().made_with)
        self.epochs = recipe.train.epochs
        self._there: Outcome | None = None  # it need not be trained
        self._started: Started | None = None
        if recipe.dense.target is not None:
            return
        known = run.outcome(DENSE)
        if recipe.dense.given:
            whole = known is not None and not self.folder.lost(known.epochs)
            self._there = known if whole else adopt(session.settled, self.folder)
            (key,) = recipe.dense.given
            session.notify(events.Notice(f"the dense reference is given by dense.{key}"))
        elif known is None:
            metric = session.settled.task.metric
            history = cache.fetch(self.key, self.folder, self.epochs, metric)
            self._there = Outcome(DENSE, history) if history else None
            if history:
                session.notify(events.Notice("the dense reference comes from the cache"))
        if self._there is None:
            self._started = start(session, DENSE, recipe, False, self.epochs)

    @functools.cached_property
    def target(self) -> float:
        """The cost to reach: the lowest of the reference, or what the recipe gives."""
        told = self.session.settled.target
        if told is not None:
            return told
        assert self.outcome is not None
        return min(record.cost for record in self.outcome.epochs)

    def wait(self) -> None:
        """Wait until there is all that candidates are judged against."""
        _ = self.outcome

    @functools.cached_property
    def outcome(self) -> Outcome | None:
        """All its epochs, once they are there; raises RunError where it failed."""
        if self._there is not None:
            self.session.run.record_outcome(self._there)
            announce(self.session, self._there)
            return self._there
        if self._started is None:
            return None
        outcome = finish(self.session, self._started)
        if outcome.failure is not None:
            raise RunError(f"the dense reference failed: {outcome.failure.cause}")
        alike = getattr(self.session.executor, "alike", True)
        if self._started.ticket is not None and alike:
            try:
                cache.publish(self.key, self.folder, outcome.epochs)
            except RunError as error:  # the next run trains it again; this one has it
                self.session.notify(events.Notice(f"the dense reference is not cached: {error}"))
        return outcome
