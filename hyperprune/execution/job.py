"""What is asked of a worker: a plain record that crosses process borders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """Train one network until it has finished `epochs` epochs, from wherever its folder stands."""

    candidate: str
    folder: Path
    recipe: Mapping[str, Any]
    sparse: bool
    epochs: int
    int8: bool = False  # from the weights given in its folder, as eight bits hold them
    profile: bool = False  # tell where the time goes
