"""What this machine has for workers: cores, memory, GPUs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes of memory that are free, a container's limit respected; None where no one says."""
    found = [_available(), _limit()]
    return min((bytes_ for bytes_ in found if bytes_ is not None), default=None)


def gpus() -> tuple[str, ...]:
    """GPUs that torch can use, each as `CUDA_VISIBLE_DEVICES` would name it alone."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [part.strip() for part in os.environ.get(VISIBLE, "").split(",") if part.strip()]
    return tuple(named[:count]) if len(named) >= count else tuple(map(str, range(count)))


def free_gpu_memory() -> list[int]:
    """Bytes that are free on each of the GPUs that torch can use."""
    import torch

    return [int(torch.cuda.mem_get_info(index)[0]) for index in range(len(gpus()))]


def _available() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _limit() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text()) - _reclaimable()
        return max(0, limit - used)
    return None


def _reclaimable() -> int:
    """Bytes of files in a container's memory that it gives back where somebody needs them."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (CGROUP / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):
                return int(line.split()[1])
    return 0
