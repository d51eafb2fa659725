"""One change of a topology by its definition (removal, redistribution, growth), on Python lists.

A tensor is a list of weights with a list of flags; saliences must differ, so that nothing is left to
chance. Written from the definitions, sections 3 to 5 of the method.
"""

import math


def removed(salience: list[float], active: list[bool], rate: float) -> list[int]:
    """Positions of the K = ceil(rate · n) active entries of lowest salience, never all of them."""
    standing = [i for i, on in enumerate(active) if on]
    count = min(math.ceil(rate * len(standing)), len(standing) - 1)
    return sorted(standing, key=lambda i: salience[i])[:count]


def removed_from_network(
    saliences: list[list[float]], active: list[list[bool]], rate: float
) -> list[list[int]]:
    """The ceil(rate · Σ n) lowest of all tensors together; a tensor's best entry is never taken."""
    total = math.ceil(rate * sum(sum(flags) for flags in active))
    ranked = sorted(
        (salience, tensor, i)
        for tensor, (row, flags) in enumerate(zip(saliences, active, strict=True))
        for i, (salience, on) in enumerate(zip(row, flags, strict=True))
        if on
    )
    gone: list[list[int]] = [[] for _ in saliences]
    for _, tensor, i in ranked:
        if total and len(gone[tensor]) < sum(active[tensor]) - 1:
            gone[tensor].append(i)
            total -= 1
    return gone


def shared(total: int, shares: list[float], room: list[int]) -> list[int]:
    """Largest remainder with caps: what a full tensor cannot take is shared among the others."""
    counts = [0] * len(room)
    open_tensors = [i for i, places in enumerate(room) if places]
    while True:
        whole = sum(shares[i] for i in open_tensors)
        left = total - sum(counts)
        ideal = {i: left * shares[i] / whole for i in open_tensors}
        full = [i for i in open_tensors if ideal[i] >= room[i]]
        if not full:
            break
        for i in full:
            counts[i] = room[i]
        open_tensors = [i for i in open_tensors if i not in full]
        if not open_tensors:
            return counts
    for i in open_tensors:
        counts[i] = math.floor(ideal[i])
    spare = total - sum(counts)
    for i in sorted(open_tensors, key=lambda i: ideal[i] - math.floor(ideal[i]), reverse=True):
        counts[i] += spare > 0
        spare -= 1
    return counts


def grown(salience: list[float], active: list[bool], count: int) -> list[int]:
    """Positions of the `count` inactive entries of highest salience."""
    free = [i for i, on in enumerate(active) if not on]
    return sorted(free, key=lambda i: salience[i], reverse=True)[:count]
