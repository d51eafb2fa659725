"""Candidates one after another in this process."""

from __future__ import annotations

from types import TracebackType

from hyperprune.execution import Crew, Job, Outcome, work


class InProcess:
    """Runs a job when its outcome is waited for; the handle of a job is the job."""

    workers = 1
    beside = False  # whoever waits does the work: loading ahead of need gains nothing

    def __init__(self, crew: Crew) -> None:
        self.crew = crew

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def submit(self, job: Job) -> Job:
        """Take a job."""
        return job

    def wait(self, handle: Job) -> Outcome:
        """Do the job; raises Stopped and RunError."""
        return work(handle, self.crew.emit, self.crew.stopping)
