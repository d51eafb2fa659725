"""What may vary: a space of settings and the configurations in it, as plain data.

A space knows nothing of recipes or plugins (`hyperprune.recipe.space_of` reads it from a recipe),
so searchers and tables can be made and tested with one written by hand. A setting may hang on a
choice (`prune.removal.gamma` on `prune.removal`): it counts only while the chosen control has that
option.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Configuration: TypeAlias = Mapping[str, Any]
"""Dotted recipe path → JSON value, holding exactly the active settings of one candidate."""


def key_of(configuration: Configuration) -> str:
    """Canonical text of a configuration: equal configurations, in any order, have equal keys."""
    return json.dumps(configuration, sort_keys=True, separators=(",", ":"))


def name_of(value: Any) -> str:
    """Name of a chosen control, which is written `"mest"` or `{name = "mest", gamma = 0.5}`."""
    return str(value["name"]) if isinstance(value, Mapping) else str(value)


@dataclass(frozen=True)
class Values:
    """A list of values; a single one is a fixed setting."""

    values: tuple[Any, ...]

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def at(self, u: float) -> Any:
        """Value at the share u ∈ [0, 1) of the list."""
        return self.values[min(int(u * self.size), self.size - 1)]

    def __contains__(self, value: object) -> bool:
        return any(_same(value, known) for known in self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)


@dataclass(frozen=True)
class Range:
    """Every number from low to high; `log` where ratios matter rather than differences."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    @property
    def size(self) -> int | None:
        """How many values there are, or None for a continuum."""
        return int(self.high) - int(self.low) + 1 if self.integer else None

    def at(self, u: float) -> float:
        """Value at the share u ∈ [0, 1) of the range; floats have six significant digits, and more
        where low and high share their first ones."""
        top = self.high + 1 if self.integer else self.high
        x = self.low * (top / self.low) ** u if self.log else self.low + u * (top - self.low)
        value = math.floor(x) if self.integer else float(f"{x:.{self._digits}g}")
        return min(max(value, self.low), self.high)

    @property
    def _digits(self) -> int:
        largest = max(abs(self.low), abs(self.high))
        return min(17, 6 + max(0, math.floor(math.log10(largest / (self.high - self.low)))))

    def share(self, value: float) -> float:
        """Where a value lies between low (0) and high (1), on the range's own scale."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def __contains__(self, value: object) -> bool:
        kinds = int if self.integer else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return False
        return self.low <= value <= self.high

    def __iter__(self) -> Iterator[float]:
        if not self.integer:
            raise ValueError("a continuous range cannot be listed")
        return iter(range(int(self.low), int(self.high) + 1))


@dataclass(frozen=True)
class Dimension:
    """One setting: its path, its domain, and the choice it hangs on (`parent` is one of `when`)."""

    path: str
    domain: Values | Range
    parent: str | None = None
    when: tuple[str, ...] = ()

    def active(self, configuration: Configuration) -> bool:
        """Whether the setting counts, given the settings before it."""
        if self.parent is None:
            return True
        return self.parent in configuration and name_of(configuration[self.parent]) in self.when


@dataclass(frozen=True)
class Space:
    """Dimensions in order, each after the choice it hangs on."""

    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for dimension in self.dimensions:
            if dimension.path in seen:
                raise ValueError(f"{dimension.path} appears twice")
            if dimension.parent is not None and dimension.parent not in seen:
                raise ValueError(f"{dimension.path} comes before {dimension.parent}")
            seen.add(dimension.path)

    @property
    def size(self) -> int | None:
        """Number of configurations, or None where a continuous range makes it infinite."""
        total = 1
        for dimension in self.dimensions:
            if dimension.parent is None:
                count = self._count(dimension)
                if count is None:
                    return None
                total *= count
        return total

    def _count(self, dimension: Dimension) -> int | None:
        """Configurations of one dimension together with those that hang on it."""
        children = [child for child in self.dimensions if child.parent == dimension.path]
        if not children:
            return dimension.domain.size
        total = 0
        for value in dimension.domain:
            counts = [self._count(child) for child in children if name_of(value) in child.when]
            if None in counts:
                return None
            total += math.prod(count for count in counts if count is not None)
        return total

    def contains(self, configuration: Configuration) -> bool:
        """Whether it sets exactly the active settings, each to a value of its domain."""
        active = [item for item in self.dimensions if item.active(configuration)]
        return {item.path for item in active} == set(configuration) and all(
            configuration[item.path] in item.domain for item in active
        )

    def at(self, point: Sequence[float]) -> dict[str, Any]:
        """Configuration at a point of the unit cube, one coordinate a dimension."""
        configuration: dict[str, Any] = {}
        for dimension, u in zip(self.dimensions, point, strict=True):
            if dimension.active(configuration):
                configuration[dimension.path] = dimension.domain.at(u)
        return configuration

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Draw every active setting uniformly from its domain (log-uniformly where asked)."""
        return self.at([rng.random() for _ in self.dimensions])

    def enumerate(self) -> Iterator[dict[str, Any]]:
        """Yield every configuration of a finite space, in a fixed order; ValueError if infinite."""
        if self.size is None:
            raise ValueError("an infinite space cannot be listed")
        yield from self._extend({}, 0)

    def _extend(self, start: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
        if index == len(self.dimensions):
            yield start
            return
        dimension = self.dimensions[index]
        if not dimension.active(start):
            yield from self._extend(start, index + 1)
            return
        for value in dimension.domain:
            yield from self._extend({**start, dimension.path: value}, index + 1)


def _same(a: object, b: object) -> bool:
    """Equality that keeps True apart from 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)
