"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "HYPERPRUNE_CACHE"
"""Environment variable: the folder of all that is kept between runs, in place of the user's own."""


def cache_folder(kind: str) -> Path:
    """The folder of one kind of thing that is kept between runs; it need not be there yet."""
    import platformdirs  # only those who look

    override = os.environ.get(CACHE)
    return (Path(override) if override else platformdirs.user_cache_path("hyperprune")) / kind
