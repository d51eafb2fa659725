"""The garbage collector, told when there is none to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Collect no cycles meanwhile; for code that makes very many objects and keeps them all.

    A journal of 60 MB is a million objects: looking through them again and again for garbage takes
    twice as long as reading them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
