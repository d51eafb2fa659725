"""The plan of a run as a record: what will be trained, for how long, and what that replaces."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What a run will do, before it does it; epochs include the dense reference's where said."""

    title: str
    candidates: int
    rounds: tuple[tuple[int, int], ...]  # (candidates in the round, epoch each reaches)
    finalists: int
    epochs: int  # full budget of one training
    dense_epochs: int  # 0 when the cache has the dense reference
    search_epochs: int  # all candidates, rounds and finalists
    full_search_epochs: int  # candidates × full budget
