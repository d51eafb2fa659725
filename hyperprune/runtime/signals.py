"""Asking a run to stop: once finishes the step and keeps what is saved, twice stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A person asked to stop at once."""


def by_a_person(error: KeyboardInterrupt) -> bool:
    """Whether a signal lies behind an interrupt, and not a plugin that raised it by itself."""
    listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return listening or isinstance(error, Interrupted)


@contextmanager
def told_apart() -> Iterator[None]:
    """Let a person's Ctrl-C be told from a KeyboardInterrupt that a plugin raises, in the main thread."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class StopFlag:
    """Whether somebody has asked to stop."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def __call__(self) -> bool:
        """Answer the question."""
        return self._flag.is_set()

    def set(self) -> None:
        """Ask to stop after the current step."""
        self._flag.set()


@contextmanager
def stop_on_signal() -> Iterator[StopFlag]:
    """Turn SIGINT and SIGTERM into a flag within the block; a second one raises Interrupted.

    Signals belong to the main thread; elsewhere (a notebook's worker, a server) the flag is simply
    never set by one.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if flag():
            raise Interrupted
        flag.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
