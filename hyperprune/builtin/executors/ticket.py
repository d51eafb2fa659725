"""A job that waits for a worker, and its answer: what executors with workers hand out."""

from __future__ import annotations

from dataclasses import dataclass

from hyperprune.execution import Job, Outcome


@dataclass(eq=False)
class Ticket:
    """A submitted job and, in the end, its outcome or the exception that stops the run.

    false_starts: how often a worker was lost before it told anything of the job.
    """

    job: Job
    outcome: Outcome | None = None
    error: BaseException | None = None
    false_starts: int = 0

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        return self.outcome is not None or self.error is not None

    def result(self) -> Outcome:
        """The outcome of a job that is done; raises what stops the run."""
        if self.error is not None:
            raise self.error
        assert self.outcome is not None
        return self.outcome
