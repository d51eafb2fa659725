"""Who is at work in this process, and what becomes of who is silent for too long.

A plugin that never answers would hold its run for ever. While somebody is `at_work`, a timer runs that
every `word` starts anew; when it ends, `Silent` is raised where the silence is. Who does not even leave
then is left: the process ends, and its run is resumable. The timer belongs to the process and its main
thread, as signals do: elsewhere (a notebook's thread, Windows) nobody is hurried.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from hyperprune.runtime.signals import told_apart

GRACE = 10.0
"""Seconds that `Silent` has to take effect, before the process ends."""
LEFT = 75
"""Exit code of a process that ended so (sysexits: try again)."""
KEY = "search.silence"

Note = Callable[[str], None]


class Silent(BaseException):
    """Nothing was heard of somebody for too long; no Exception, so that plugins do not catch it."""


@dataclass
class _Watch:
    limit: float = 0.0
    note: Note | None = None
    who: list[str] = field(default_factory=list)
    rung: bool = False

    def says(self) -> str:
        return " for ".join(reversed(self.who))


_watch = _Watch()


@contextmanager
def patient(limit: float, note: Note | None = None) -> Iterator[None]:
    """Give who is at work within the block so many seconds between words; 0 is for ever.

    `note` is told who is at work, whenever that changes. A person's Ctrl-C is told from a plugin's.
    """
    global _watch
    before, _watch = _watch, _Watch(note=note or _watch.note)
    able = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not able:
        try:
            yield
        finally:
            _watch = before
        return
    _watch.limit = limit
    handler = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        with told_apart():
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        _watch = before
        _tell()
        word()


@contextmanager
def at_work(who: str, *, timed: bool = True) -> Iterator[None]:
    """Say who is at work within the block; `timed=False` for who only waits, and has no limit."""
    if not timed:
        with patient(0.0), at_work(who):
            yield
        return
    _watch.who.append(who)
    _tell()
    word()
    try:
        yield
    finally:
        _watch.who.pop()
        _tell()
        word()


def word() -> None:
    """Whoever is at work has been heard: the timer starts anew."""
    _watch.rung = False
    if _watch.limit:
        signal.setitimer(signal.ITIMER_REAL, _watch.limit if _watch.who else 0)


def _tell() -> None:
    if _watch.note is not None:
        _watch.note(_watch.says())


def _ring(number: int, frame: FrameType | None) -> None:
    said = f"{_watch.says()} said nothing for {_watch.limit:g} s ({KEY})"
    if _watch.rung:  # it was told, and goes on
        with contextlib.suppress(OSError):
            os.write(
                2,
                f"error: {said}, and does not leave; `hyperprune resume` goes on with a run\n".encode(),
            )
        os._exit(LEFT)
    _watch.rung = True
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    raise Silent(said)
