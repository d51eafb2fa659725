"""Every configuration of a space in order, ranges at a few values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from hyperprune.search.observation import Observation, SpaceExhausted, tried_keys
from hyperprune.search.space import Configuration, Dimension, Range, Space, Values, key_of

Points = Annotated[int, Field(ge=1, le=1000, description="values of a range, evenly apart")]


def grid(
    space: Space,
    history: Sequence[Observation],
    pending: Sequence[Configuration],
    seed: int,
    *,
    points: Points = 5,
) -> dict[str, Any]:
    """Every configuration in order, a range at a few values: for a space that is tried in full."""
    tried = tried_keys(history, pending)
    for configuration in Space(
        tuple(_listed(item, points) for item in space.dimensions)
    ).enumerate():
        if key_of(configuration) not in tried:
            return configuration
    raise SpaceExhausted("every configuration of the grid has been tried")


def _listed(dimension: Dimension, points: int) -> Dimension:
    domain = dimension.domain
    if not isinstance(domain, Range):
        return dimension
    values = (domain.at((number + 0.5) / points) for number in range(points))
    return replace(dimension, domain=Values(tuple(dict.fromkeys(values))))
