"""Ranks: who survives a round, and how well one order predicts another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scipy.stats import rankdata


def best(scores: Mapping[str, float], count: int) -> list[str]:
    """Names of the `count` lowest scores, best first; equal scores by name."""
    return sorted(scores, key=lambda name: (scores[name], name))[:count]


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, equal values sharing their mean rank."""
    found: list[float] = rankdata(values).tolist()
    return found


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None for fewer than three pairs or a constant side."""
    if len(a) < 3:
        return None
    x, y = ranks(a), ranks(b)
    mean = (len(a) + 1) / 2
    xy = sum((p - mean) * (q - mean) for p, q in zip(x, y, strict=True))
    xx = sum((p - mean) ** 2 for p in x)
    yy = sum((q - mean) ** 2 for q in y)
    return xy / (xx * yy) ** 0.5 if xx and yy else None
