"""How long trainings took, from a run's log: no fact of the run, since no two machines agree on it."""

from __future__ import annotations

from pathlib import Path

from hyperprune.events import EpochFinished
from hyperprune.store.log import read_log


def seconds_of(folder: Path) -> dict[str, dict[int, float]]:
    """Seconds of each epoch that was trained here, by training; none for one from the cache.

    An epoch that was trained twice, since a crash came in between, counts once.
    """
    found: dict[str, dict[int, float]] = {}
    for logged in read_log(folder):
        event = logged.event
        if isinstance(event, EpochFinished) and event.seconds is not None:
            found.setdefault(event.candidate, {})[event.epoch] = event.seconds
    return found
