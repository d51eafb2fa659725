"""Memory that this process has in use, as the system counts it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from pathlib import Path

STATM = Path("/proc/self/statm")


def resident() -> int | None:
    """Resident bytes of this process, what is free but not yet given back left out; None off Linux."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
