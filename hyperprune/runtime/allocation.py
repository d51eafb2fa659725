"""How this process's memory is given back."""

from __future__ import annotations

import contextlib
import ctypes
import os

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for what is asked for next.

    A training step asks for and frees the same large tensors again and again. Where glibc gives their pages
    back each time, the system has to clear and map them anew: 130,000 page faults a second, up to a fifth of
    the time (`python benchmarks/allocation.py`). Without glibc, or where the environment says how its malloc
    should be (`MALLOC_…`, `GLIBC_TUNABLES`), nothing is changed.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    with contextlib.suppress(OSError, AttributeError, TypeError):  # glibc alone has it
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  other libraries' mallopt is another
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
