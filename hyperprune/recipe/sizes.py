"""Whether the distance that a recipe names can compare the networks that its space has.

A model option that changes the size of the state (`hidden`, `layers`) changes the number of Lyapunov
exponents, and most distances pair exponents one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hyperprune.plugins import Contribution, registry
from hyperprune.plugins.parameters import check_options
from hyperprune.recipe.problems import Problem
from hyperprune.recipe.records import Recipe
from hyperprune.search.objective import needs_of
from hyperprune.search.space import Dimension, Space, Values

VOCABULARY = 16
"""Words of the networks that are built to be looked at: without memory, on torch's meta device."""
MOST = 32
"""Values of a list that are tried."""


Size = tuple[int, int]
"""Layers of a network, and numbers in its state: as many Lyapunov exponents."""


def check_sizes(recipe: Recipe, space: Space) -> Iterator[Problem]:
    """Yield settings that give candidates spectra which the distance cannot compare."""
    varying = [item for item in space.dimensions if item.path.startswith("model.")]
    objective = registry().get("objective", recipe.search.objective.name)
    if not varying or "distances" not in needs_of(objective.target):
        return
    distance = registry().get("distance", recipe.spectrum.distance.name)
    own = network_size(recipe, {})
    if own is None:
        return
    for dimension in varying:
        for value in _tried(dimension):
            other = network_size(recipe, {dimension.path.removeprefix("model."): value})
            if other is None or own == other:
                continue
            needed = "widths" if own[0] == other[0] else "layers"
            if needed not in comparing(distance):
                yield _refusal(dimension, value, own, other, distance.name, needed)
                break


def _refusal(
    dimension: Dimension, value: Any, own: Size, other: Size, distance: str, needed: str
) -> Problem:
    fit = [item.name for item in registry().of_kind("distance") if needed in comparing(item)]
    return Problem(
        f"space.{dimension.path}",
        f"{value!r} makes a network of {_words(other)} beside the dense reference's {_words(own)}, "
        f"and distance {distance!r} does not compare different {needed}; what does: "
        f"{', '.join(fit) or 'none that is installed'} (spectrum.distance), "
        "or search.objective = 'loss'",
        also=("space", "spectrum.distance", "model"),
    )


def _words(size: Size) -> str:
    return f"{size[0]} layers with {size[1]} exponents"


def comparing(distance: Contribution) -> Collection[str]:
    """What a distance declares to compare: nothing, `widths`, `layers`."""
    declared: Collection[str] = getattr(distance.target, "compares", ())
    return declared


def network_size(recipe: Recipe, changed: Mapping[str, Any]) -> Size | None:
    """Size of the network that a recipe has with options changed; None where it cannot be told."""
    import torch

    contribution = registry().get("model", recipe.model.name)
    values, problems = check_options(contribution.target, {**recipe.model.options, **changed})
    if problems:
        return None
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            network = contribution.bind(values)(VOCABULARY)
            state = network.initial_state(1)
        layers = {part.layer for part in getattr(network, "state_parts", ())}
        return max(1, len(layers)), sum(int(part.numel()) for part in state)
    except Exception:  # a network that cannot be built so is built, and judged, in the run
        return None


def _tried(dimension: Dimension) -> list[Any]:
    domain = dimension.domain
    return list(domain.values[:MOST]) if isinstance(domain, Values) else [domain.low, domain.high]
