"""Candidates one after another in this process."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from hyperprune.events import Event
from hyperprune.execution.job import Job
from hyperprune.execution.worker import advance
from hyperprune.training.outcome import Outcome


class InProcess:
    """Runs a job when its outcome is waited for; the handle of a job is the job."""

    workers = 1

    def __init__(self, emit: Callable[[Event], None], stopping: Callable[[], bool]) -> None:
        self.emit, self.stopping = emit, stopping

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
        return advance(handle, self.emit, self.stopping)
