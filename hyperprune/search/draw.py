"""Uniform draws from a space without repetition; which candidates repeat an earlier one."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Any

from hyperprune.search.observation import SpaceExhausted
from hyperprune.search.space import Configuration, Space, key_of

LISTED = 4096
"""Spaces up to this size are listed and drawn from without replacement."""
DRAWS = 10_000


def untried(space: Space, tried: Collection[str], rng: random.Random) -> dict[str, Any]:
    """Draw a configuration whose key is not among those tried; raises SpaceExhausted without one."""
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


def repeats(configurations: Mapping[str, Configuration]) -> dict[str, str]:
    """Candidates whose configuration an earlier candidate has, with that candidate's name."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for name, configuration in configurations.items():
        owner = first.setdefault(key_of(configuration), name)
        if owner != name:
            found[name] = owner
    return found
