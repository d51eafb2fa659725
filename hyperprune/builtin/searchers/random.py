"""The baseline searcher: uniform draws, none twice."""

from __future__ import annotations

import random as generators
from collections.abc import Sequence
from typing import Any

from hyperprune.search.observation import Observation, SpaceExhausted
from hyperprune.search.space import Configuration, Space, key_of

LISTED = 4096
"""Spaces up to this size are listed and drawn from without replacement."""
DRAWS = 10_000


def random(
    space: Space, history: Sequence[Observation], pending: Sequence[Configuration], seed: int
) -> dict[str, Any]:
    """Uniform over what has not been tried: the baseline that other searchers must beat.

    Raises SpaceExhausted when nothing new is left.
    """
    tried = {key_of(item.configuration) for item in history} | {key_of(item) for item in pending}
    # The text seeds by its SHA-512: one stream for each seed and turn, the same in every process.
    rng = generators.Random(f"{seed}/{len(history) + len(pending)}")
    size = space.size
    if size is not None and size <= LISTED:
        left = [item for item in space.enumerate() if key_of(item) not in tried]
        if left:
            return rng.choice(left)
    else:
        for _ in range(DRAWS):
            drawn = space.sample(rng)
            if key_of(drawn) not in tried:
                return drawn
    raise SpaceExhausted("every configuration of the space has been tried")
