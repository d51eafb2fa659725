"""The dense reference of a run: from the cache, or trained beside the first candidates."""

from __future__ import annotations

import functools

from hyperprune import events
from hyperprune.errors import RunError
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.work import announce, finish, start
from hyperprune.store import cache
from hyperprune.training.outcome import DENSE, Outcome


class DenseReference:
    """The dense reference: begun at once, waited for when a candidate is first judged.

    So the first candidates, which need no results to be proposed, train beside it.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        recipe, run = session.recipe, session.run
        self.folder = run.training(DENSE)
        text = session.settled.corpus.sha256
        self.key = cache.dense_key(recipe, text, run.made().made_with)
        self.epochs = recipe.train.epochs
        self._cached: Outcome | None = None
        if run.outcome(DENSE) is None:
            history = cache.fetch(self.key, self.folder, self.epochs)
            self._cached = Outcome(DENSE, history) if history else None
        if self._cached is None:
            self._started = start(session, DENSE, recipe, False, self.epochs)
        else:
            session.notify(events.Notice("the dense reference comes from the cache"))

    @functools.cached_property
    def outcome(self) -> Outcome:
        """All its epochs, once they are there; raises RunError where it failed."""
        if self._cached is not None:
            self.session.run.record_outcome(self._cached)
            announce(self.session, self._cached)
            return self._cached
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
