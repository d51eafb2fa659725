"""A job that waits for a worker, and its answer: what executors with workers hand out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from hyperprune.execution import Job, Outcome
from hyperprune.runtime.patience import GRACE

SILENT = "said nothing for too long (search.silence) and was ended"
SPARE = 60.0
"""Seconds that a worker has beyond its limit to say by itself that it was silent, before it is ended."""


@dataclass(eq=False)
class Ticket:
    """A submitted job and, in the end, its outcome or the exception that stops the run.

    false_starts: how often a worker was lost before it told anything of the job. heard: when its
    worker last said something.
    """

    job: Job
    outcome: Outcome | None = None
    error: BaseException | None = None
    false_starts: int = 0
    heard: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        return self.outcome is not None or self.error is not None

    @property
    def silent(self) -> bool:
        """Whether its worker is past the time in which it would have said by itself that it is silent."""
        limit = float(self.job.recipe["search"]["silence"])
        return bool(limit) and time.monotonic() - self.heard > limit + GRACE + SPARE

    def result(self) -> Outcome:
        """The outcome of a job that is done; raises what stops the run."""
        if self.error is not None:
            raise self.error
        assert self.outcome is not None
        return self.outcome
