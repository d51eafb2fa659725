"""What a searcher learns about a configuration that was tried."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from hyperprune.errors import HyperpruneError
from hyperprune.search.goal import Point
from hyperprune.search.space import Configuration, key_of


@dataclass(frozen=True)
class Observation:
    """The objective of one candidate (lower is better) with its error, or why there is none.

    Where quality and size both count (`search.goal`), `point` has both and `value` is a place in the
    order of all that are known; `bound` is what a point's score may be at most, where the search is
    for the smallest that meets a target.
    """

    configuration: Configuration
    value: float | None
    standard_error: float | None = None
    failed: str | None = None
    point: Point | None = None
    bound: float | None = None

    def __post_init__(self) -> None:
        if self.failed is None and (self.value is None or not math.isfinite(self.value)):
            raise ValueError(f"a candidate that did not fail has a finite value, not {self.value}")
        if self.failed is not None and self.value is not None:
            raise ValueError("a failed candidate has no value")

    @functools.cached_property
    def key(self) -> str:
        """The configuration's `key_of`."""
        return key_of(self.configuration)


class SpaceExhausted(HyperpruneError):
    """Every configuration of a finite space has been tried: the search ends here, normally."""


def tried_keys(history: Iterable[Observation], pending: Iterable[Configuration]) -> set[str]:
    """Keys (`key_of`) of the configurations that are known or under way: none is suggested again."""
    return {item.key for item in history} | {key_of(item) for item in pending}
