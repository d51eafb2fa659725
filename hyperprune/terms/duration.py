"""How long something took, as people say it."""

from __future__ import annotations

import math


def duration(seconds: float | None) -> str:
    """Seconds as `4 s`, `1:05`, `2:03:09` or `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
