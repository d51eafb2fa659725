"""Fixed segments of parallel streams, whose state is carried from one to the next."""

from __future__ import annotations

import random
from collections.abc import Iterator

from torch import Tensor

from hyperprune.task.contract import Batch, Batches, Cut


def pieces(cut: Cut, length: int, seed: int = 0) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of each segment of a stream, whose last step has no target.

    Drawn lengths follow Merity et al. 2018 (arXiv 1708.02182), §5.
    """
    draw = random.Random(seed)
    start = 0
    while start < length - 1:
        size = cut.bptt
        if cut.variable:
            base = cut.bptt if draw.random() < 0.95 else cut.bptt / 2
            size = max(5, int(draw.gauss(base, 5)))
            size = min(size, cut.longest or cut.bptt + 20)
        size = min(size, length - 1 - start)
        yield start, size
        start += size


def segments_of(streams: Tensor, cut: Cut, seed: int = 0) -> Batches:
    """Batches of streams (steps, B), in which every step is to foretell the next."""
    plan = list(pieces(cut, streams.shape[0], seed))

    def make(number: int) -> Batch:
        start, size = plan[number]
        return Batch(
            inputs=streams[start : start + size],  # (T, B)
            targets=streams[start + 1 : start + 1 + size],  # (T, B)
            scored=(size,) * streams.shape[1],
            weight=size,
            begins=number == 0,
            rate=size / cut.bptt if cut.variable else 1.0,
        )

    return Batches(len(plan), make)
