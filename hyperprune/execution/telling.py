"""What a worker says beside its events: log records, warnings and printed lines, under its name."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator

from hyperprune.events import WorkerSaid

MOST, LONGEST = 100, 500
"""Lines of one job, and characters of a line, beyond which a worker is not listened to."""


@contextlib.contextmanager
def telling(worker: str, emit: Callable[[WorkerSaid], None]) -> Iterator[None]:
    """Turn what this process logs (from WARNING up), warns of and prints into events, within the block."""
    left = MOST

    def say(line: str) -> None:
        nonlocal left
        if line.strip() and left:
            left -= 1
            emit(WorkerSaid(worker, line.rstrip()[:LONGEST]))

    handler = _Handler(say)
    printed = _Lines(say)
    logging.captureWarnings(True)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        printed.finish()
        logging.getLogger().removeHandler(handler)
        logging.captureWarnings(False)


class _Handler(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        for line in record.getMessage().splitlines():
            self.say(f"{record.levelname.lower()}: {line}")


class _Lines(io.TextIOBase):
    """A stream whose lines are said one by one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self._begun = say, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self.say(line)
        return len(text)

    def finish(self) -> None:
        self.say(self._begun)
        self._begun = ""
