"""What a benchmark ran on."""

from __future__ import annotations

import platform
from pathlib import Path

CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")


def processor() -> str:
    """Name of this machine's processor and its last cache, by which virtual machines' differ."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((x.split(":")[1].strip() for x in lines if "model name" in x), platform.processor())
    return f"{name}, L3 {CACHE.read_text().strip()}" if CACHE.exists() else name
