"""How many weights stay: exact integer shares under caps. Pure arithmetic, no tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from hyperprune.errors import SparsityError


def active_total(density: float, sizes: Sequence[int]) -> int:
    """Weights that are active in all masked tensors together: round(d · Σ N)."""
    return round(density * sum(sizes))


def apportion(total: int, weights: Sequence[float], caps: Sequence[int]) -> list[int]:
    """Share out `total` in proportion to `weights`, none above its cap, by largest remainder.

    What a cap cuts off is shared among the others in proportion again (water-filling). Where no
    weight above 0 is left the rest goes in equal parts, and earlier entries win equal remainders.
    Arithmetic is exact. Raises SparsityError when the caps together cannot hold the total.
    """
    if total > sum(caps):
        raise SparsityError(f"{total} weights cannot be placed: there is room for {sum(caps)}")
    exact = [Fraction(weight) for weight in weights]
    counts = [0] * len(caps)
    open_, left = [i for i, cap in enumerate(caps) if cap > 0], total
    while open_:
        whole = sum(exact[i] for i in open_)
        if not whole:
            exact = [Fraction(1)] * len(caps)
            whole = Fraction(len(open_))
        shares = {i: left * exact[i] / whole for i in open_}
        full = [i for i in open_ if shares[i] >= caps[i]]
        if not full:
            break
        for i in full:
            counts[i] = caps[i]
            left -= caps[i]
        open_ = [i for i in open_ if shares[i] < caps[i]]
    if open_:
        for i in open_:
            counts[i] = math.floor(shares[i])
        spare = total - sum(counts)
        by_remainder = sorted(open_, key=lambda i: (counts[i] - shares[i], i))
        for i in by_remainder[:spare]:
            counts[i] += 1
    return counts


def at_least(counts: Sequence[int], least: Sequence[int]) -> list[int]:
    """Give each tensor its least number of weights, taken from those that have most to spare.

    Raises SparsityError where there are too few to go round.
    """
    check_total(sum(counts), least)
    filled = list(counts)
    for i, floor in enumerate(least):
        while filled[i] < floor:
            spare = [count - low for count, low in zip(filled, least, strict=True)]
            richest = spare.index(max(spare))
            moved = min(floor - filled[i], max(1, spare[richest] // 2))
            filled[richest] -= moved
            filled[i] += moved
    return filled


def check_total(total: int, least: Sequence[int]) -> None:
    """Raise SparsityError where so many weights do not give each tensor its least number."""
    if total < sum(least):
        raise SparsityError(
            f"the density leaves {total} active weights for {len(least)} tensors, which need "
            f"at least {sum(least)}, since none may be emptied; raise the density or exclude tensors"
        )
