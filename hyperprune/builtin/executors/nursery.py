"""Where worker processes come from: a process that has imported what they need, and divides.

Importing torch takes a second of a core or more. That process does it once, while the run is still being
settled, and every worker, also one in place of another that died, is there at once. Where a system has no
such processes, each worker begins with nothing.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext

DIVIDES = "forkserver"
LOADED = ["hyperprune.builtin.executors.worker_processes"]
"""Modules that are there in every worker; of hyperprune alone, since strangers' may start threads."""


def context() -> BaseContext:
    """What worker processes, and all that is shared with them, are made by."""
    if DIVIDES not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    made = multiprocessing.get_context(DIVIDES)
    made.set_forkserver_preload(LOADED)
    return made


def prepare() -> None:
    """Begin with what the workers need, in the background; once, however often it is called."""
    if context().get_start_method() != DIVIDES:
        return
    from multiprocessing.forkserver import ensure_running

    resource_tracker.ensure_running()  # it unblocks interrupts once it has started
    with interrupts_blocked():
        ensure_running()


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started within the block, until they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
