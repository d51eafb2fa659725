"""Ranks: who survives a round, and how well one order predicts another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def best(scores: Mapping[str, float], count: int) -> list[str]:
    """Names of the `count` lowest scores, best first; equal scores by name."""
    return sorted(scores, key=lambda name: (scores[name], name))[:count]


def survivors(
    scores: Mapping[str, float], losses: Mapping[str, float], count: int, *, hedge: bool = True
) -> list[str]:
    """Who stays: the `count` lowest scores, best first, and with `hedge` the lowest loss among them.

    Where a score is a poor guide the lowest loss takes the last place. A single place goes to the
    score, which a hedge would replace.
    """
    kept = best(scores, count)
    (leader,) = best(losses, 1)
    if hedge and count > 1 and leader not in kept:
        kept[-1] = leader
    return kept


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, equal values sharing their mean rank."""
    from scipy.stats import rankdata  # a second of every start

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
