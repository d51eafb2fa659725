"""Where candidates train: the contract of executors. Jobs in, outcomes out, events on the way.

    def mine(crew: Crew, *, option: int = 1) -> Executor:
        "Candidates somewhere else."

A worker does a job with `work`, which goes on from the last epoch in the job's folder and saves each
epoch there. An executor may run jobs in any order, anywhere, and again after a worker is lost, as
long as `job.folder` is in the end as if `work` had filled it here, and an `EpochFinished` is passed on
only once that epoch's files are in it. A worker that ends in the middle is an outcome with a failure
of kind `killed`, whose epochs the run reads in `job.folder`, and which it tries again; whatever `emit`
raises ends the run. Where workers compute on another kind of device than this process has, its attribute
`alike` is False: what they make is then not kept for other runs.

Imports training and the store, for checkpoints. Called by `pipeline`, and by executors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from hyperprune.events import Event
from hyperprune.execution.job import Job
from hyperprune.training.outcome import Failure, Outcome

if TYPE_CHECKING:
    from hyperprune.plan.crew import Asked as Asked

__all__ = ["Crew", "Executor", "Failure", "Job", "Outcome", "work"]


@dataclass(frozen=True)
class Crew:
    """What an executor is given: whom to keep busy, whom to tell, when to stop."""

    workers: int  # jobs that the search keeps under way at a time
    threads: int  # of torch, in each worker
    gpu: bool  # whether workers may train on GPUs
    emit: Callable[[Event], None]
    stopping: Callable[[], bool]


class Executor(Protocol):
    """Takes jobs and gives outcomes, within its `with` block only, from one thread."""

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
        """Block until a job is done, passing on events; raises Stopped, and RunError for the rest."""
        ...


def work(
    job: Job,
    emit: Callable[[Event], None],
    stopping: Callable[[], bool],
    note: Callable[[str], None] | None = None,
) -> Outcome:
    """Do a job in this process: train its network to its last epoch, a checkpoint an epoch.

    `note` is told who is at work (`"model 'mine' of hyperprune-mine for c003"`), for the message of an
    executor that finds its worker dead. A network's failure is a value. Raises Stopped when asked to
    stop, RunError where disk, text or device fail, and what `emit` raises.
    """
    from hyperprune.execution.worker import advance

    return advance(job, emit, stopping, note)
