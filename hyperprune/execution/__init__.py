"""Where candidates run: in this process, or in worker processes.

Imports training and the store, for checkpoints. Called by `pipeline`: jobs in, outcomes out, events on
the way.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from hyperprune.events import Event
from hyperprune.execution.job import Job
from hyperprune.execution.local import InProcess
from hyperprune.execution.processes import Processes
from hyperprune.training.outcome import Outcome


class Executor(Protocol):
    """Takes jobs and gives outcomes; within its `with` block only."""

    workers: int

    def __enter__(self) -> Self:
        """Start working."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop every worker."""
        ...

    def submit(self, job: Job) -> Any:
        """Take a job; the answer is what to wait for."""
        ...

    def wait(self, handle: Any) -> Outcome:
        """Block until a job is done; raises Stopped and RunError."""
        ...


def make_executor(
    emit: Callable[[Event], None], stopping: Callable[[], bool], workers: int, threads: int
) -> Executor:
    """Choose the executor for a number of workers with so many torch threads each."""
    if workers == 1:
        return InProcess(emit, stopping)
    return Processes(emit, stopping, threads, workers)
