"""A stranger's executor, held to its contract: what goes wrong in it is said in its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from hyperprune.errors import HyperpruneError, RunError
from hyperprune.execution import Executor
from hyperprune.execution.job import Job
from hyperprune.plugins import said
from hyperprune.runtime.patience import at_work
from hyperprune.runtime.signals import by_a_person
from hyperprune.training.outcome import Outcome


class Guarded:
    """Passes all on to an executor; raises RunError, which a run outlives, for what none should do.

    Its waiting has no limit: it waits for trainings, whose silence is noticed where they train.
    """

    def __init__(self, make: Callable[[], Any], who: str) -> None:
        self.who = who
        with self._named():
            self.inner: Executor = make()
        missing = [
            name for name in ("submit", "wait") if not callable(getattr(self.inner, name, None))
        ]
        if missing or not isinstance(getattr(self.inner, "workers", None), int):
            what = type(self.inner).__name__
            raise RunError(f"{who} made a {what}; an executor has workers, submit and wait")
        self.workers = self.inner.workers
        if self.workers < 1:
            raise RunError(f"{who} has {self.workers} workers; an executor has at least one")

    def __enter__(self) -> Guarded:
        with self._named():
            entered: Any = self.inner.__enter__()
        if entered is not self.inner:
            raise RunError(
                f"{self.who} gives {type(entered).__name__} to its with block, not itself"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._named():
            self.inner.__exit__(kind, error, trace)

    def submit(self, job: Job) -> Any:
        """Take a job."""
        with self._named():
            return self.inner.submit(job)

    def wait(self, handle: Any) -> Outcome:
        """Block until a job is done; raises Stopped and RunError."""
        with self._named():
            outcome: Any = self.inner.wait(handle)
        if not isinstance(outcome, Outcome):
            raise RunError(f"{self.who} answered {type(outcome).__name__}, not an outcome")
        return outcome

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            with at_work(self.who, timed=False):
                yield
        except HyperpruneError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and by_a_person(error):
                raise
            raise RunError(f"{self.who} raised {said(error)}; resume tries again") from error
