"""What a search is for, where quality and size both count: who is better, and who comes first.

`perplexity` asks for the best network, whatever its size; `smallest` for the sparsest that meets the
dense target; `frontier` for the whole trade-off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Goal: TypeAlias = Literal["perplexity", "smallest", "frontier"]


@dataclass(frozen=True)
class Point:
    """One candidate: a score of its quality, and its active weights; lower is better in both."""

    score: float
    size: float

    def beats(self, other: Point) -> bool:
        """Whether it is no worse in either, and better in one."""
        return self != other and self.score <= other.score and self.size <= other.size


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """Indices by front, by size within each: whom nobody beats, whom only those beat, and so on."""
    left = sorted(range(len(points)), key=lambda i: (points[i].size, points[i].score, i))
    found = []
    while left:
        front = [i for i in left if not any(points[j].beats(points[i]) for j in left)]
        found.append(front)
        left = [i for i in left if i not in front]
    return found


def ordered(points: Sequence[Point], bound: float | None) -> list[int]:
    """Indices, the most promising first: front by front.

    Within a front, those whose score is nearest to a bound come first: the smallest that meets it is
    among them, if the score is right. Without one the ends come first, then who has most room around
    (crowding distance of Deb et al. 2002).
    """
    found: list[int] = []
    for front in fronts(points):
        if bound is None:
            room = _room([points[i] for i in front])
            found += [i for _, i in sorted(zip([-r for r in room], front, strict=True))]
        else:
            found += sorted(front, key=lambda i: (abs(points[i].score - bound), points[i].size, i))
    return found


def _room(front: Sequence[Point]) -> list[float]:
    """Crowding distance of each point of a front in order of size; infinite at its ends."""
    if len(front) < 3:
        return [math.inf] * len(front)
    wide = (front[-1].size - front[0].size) or 1.0
    high = (front[0].score - front[-1].score) or 1.0
    inner = [
        (after.size - before.size) / wide + (before.score - after.score) / high
        for before, after in zip(front, front[2:], strict=False)
    ]
    return [math.inf, *inner, math.inf]


def winner(points: Mapping[str, Point], goal: Goal, target: float) -> str:
    """Who wins, of networks whose score is their loss: the lowest, or the smallest that meets a target.

    Where no network meets it the lowest loss wins for every goal.
    """
    met = {name: point for name, point in points.items() if point.score <= target}
    if goal == "perplexity" or not met:
        return min(points, key=lambda name: (points[name].score, name))
    return min(met, key=lambda name: (met[name].size, met[name].score, name))
