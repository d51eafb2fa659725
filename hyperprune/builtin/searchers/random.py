"""The baseline searcher: uniform draws, none twice."""

from __future__ import annotations

import random as generators
from collections.abc import Sequence
from typing import Any

from hyperprune.search.draw import untried
from hyperprune.search.observation import Observation, tried_keys
from hyperprune.search.space import Configuration, Space


def random(
    space: Space, history: Sequence[Observation], pending: Sequence[Configuration], seed: int
) -> dict[str, Any]:
    """Uniform over what has not been tried: the baseline that other searchers must beat.

    Raises SpaceExhausted when nothing new is left.
    """
    tried = tried_keys(history, pending)
    # The text seeds by its SHA-512: one stream for each seed and turn, the same in every process.
    return untried(space, tried, generators.Random(f"{seed}/{len(history) + len(pending)}"))
