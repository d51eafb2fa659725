"""Where the time of a piece of work goes: seconds by part, every second counted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

OTHER = "other"
"""What lies in no part."""


class Clock:
    """Seconds by part. Parts may lie within one another: a second counts for the innermost.

    So all parts together, `other` among them, are the time since the clock was made. `settle` waits
    for what a device was asked to do, so that its work counts where it was asked for.
    """

    def __init__(
        self,
        settle: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.settle, self._now = settle, now
        self._within: list[str] = []
        self._seconds: dict[str, float] = {}
        self._since = self._now()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block's time for a part."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def enter(self, name: str) -> None:
        """Begin a part."""
        self._charge()
        self._within.append(name)

    def leave(self) -> None:
        """End the part begun last."""
        self._charge()
        self._within.pop()

    def take(self) -> dict[str, float]:
        """Seconds by part since the clock was made, or since the last call."""
        self._charge()
        found, self._seconds = self._seconds, {}
        return found

    def _charge(self) -> None:
        self.settle()
        now = self._now()
        name = self._within[-1] if self._within else OTHER
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


def part(clock: Clock | None, name: str) -> AbstractContextManager[None]:
    """Count the block's time for a part, where there is a clock."""
    return nullcontext() if clock is None else clock.part(name)
