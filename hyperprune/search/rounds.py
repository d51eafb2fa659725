"""Halving a pool: how many candidates train to which epoch, and what that costs."""

from __future__ import annotations

import math


def halving(
    candidates: int, first: int, epochs: int, keep: float, finalists: int
) -> tuple[tuple[int, int], ...]:
    """Rounds as (candidates, epoch each reaches), until at most `finalists` would be left.

    Each round keeps ceil(keep · n) of its n candidates, at least one fewer than it had and never
    fewer than the finalists.
    """
    count, reached = candidates, first
    rounds = [(count, reached)]
    while (count := survivors(count, keep, finalists)) > finalists:
        reached += epochs
        rounds.append((count, reached))
    return tuple(rounds)


def survivors(count: int, keep: float, finalists: int) -> int:
    """How many of a round's candidates go on."""
    kept = min(math.ceil(round(keep * count, 9)), count - 1)  # 0.1 · 30 is 3, not 3.0000000000004
    return min(count, max(kept, finalists))


def spent(rounds: tuple[tuple[int, int], ...], finalists: int, budget: int) -> int:
    """Epochs trained in all rounds and by the finalists, each epoch of each candidate once."""
    total = before = 0
    for count, reached in rounds:
        total += count * (reached - before)
        before = reached
    return total + finalists * (budget - before)
