"""Where the time of a run went, from its log: a row a network, and one of the process that leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperprune.events import TimeSpent
from hyperprune.runtime.clock import OTHER
from hyperprune.store.log import read_log

TRAINING = (
    "forward",
    "backward",
    "masking",
    "optimiser",
    "evaluation",
    "spectra",
    "saving",
    "loading",
)
LEADING = ("waiting", "suggestions", "judging", "verdict")
PARTS = (*TRAINING, *LEADING, OTHER)
"""Every part, in the order of a table."""


@dataclass(frozen=True)
class Spent:
    """Seconds of one network, or of the process that leads the run (`name` empty), by part.

    wall: the same time by another clock, which the parts add up to.
    """

    name: str
    parts: Mapping[str, float]
    wall: float

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Profile:
    """Networks in the order in which they trained, and the process that leads; of all sittings."""

    networks: tuple[Spent, ...]
    leader: Spent | None  # None where the run was killed

    @property
    def rows(self) -> tuple[Spent, ...]:
        """Everything that was timed."""
        return self.networks if self.leader is None else (*self.networks, self.leader)

    @property
    def columns(self) -> tuple[str, ...]:
        """Parts that took any time, in order."""
        return tuple(name for name in PARTS if any(name in row.parts for row in self.rows))

    def plain(self) -> dict[str, Any]:
        """As JSON values: networks by name, and the leading process."""

        def row(item: Spent) -> dict[str, float]:
            return {**item.parts, "wall": item.wall}

        networks = {item.name: row(item) for item in self.networks}
        return {"networks": networks, "leader": row(self.leader) if self.leader else None}


def profile_of(folder: Path) -> Profile | None:
    """Read a run's log; None where nobody asked where its time goes."""
    parts: dict[str, dict[str, float]] = {}
    walls: dict[str, float] = {}
    for item in read_log(folder):
        if isinstance(item.event, TimeSpent):
            event = item.event
            own = parts.setdefault(event.candidate, {})
            for name, seconds in event.parts.items():
                kept = name if name in PARTS else OTHER
                own[kept] = own.get(kept, 0.0) + seconds
            walls[event.candidate] = walls.get(event.candidate, 0.0) + event.wall
    if not parts:
        return None
    spent = {name: Spent(name, own, walls[name]) for name, own in parts.items()}
    leader = spent.pop("", None)
    return Profile(tuple(spent.values()), leader)
