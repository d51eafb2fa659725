"""Errors of a mean over time: drift between halves, spread of blocks, and running means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Part: TypeAlias = tuple[int, Tensor]
"""Steps, and the sum over them of ln R_t,ii (B, n)."""

BLOCKS = 32
"""Blocks of steps whose means are held against each other."""
SHORTEST = 10
"""Counted steps in a block from which on blocks are kept without being asked for."""
FEWEST = 4
"""Fewest blocks whose spread is used as an error."""


def block_ends(steps: int, *, wanted: bool) -> list[int]:
    """Counted steps after which a block ends; none where the steps are too few to be worth it."""
    if steps < BLOCKS * SHORTEST and not wanted:
        return []
    count = min(BLOCKS, steps)
    return [round(steps * (block + 1) / count) for block in range(count)]


def means(counted: Sequence[Part]) -> Tensor:
    """Means over the steps of all parts: (B, n)."""
    return torch.stack([logs for _, logs in counted]).sum(0) / sum(steps for steps, _ in counted)


def drift(counted: Sequence[Part]) -> Tensor:
    """Half the absolute difference of the means of the first and second half of the steps: (n,).

    A part must end where the first half does.
    """
    half, done, first = sum(steps for steps, _ in counted) // 2, 0, 0
    while done < half:
        done += counted[first][0]
        first += 1
    if first == 0:
        return torch.full_like(counted[0][1][0], torch.nan)
    assert done == half
    return (means(counted[:first]) - means(counted[first:])).mean(0).abs() / 2


def running_means(sums: Mapping[int, Tensor], ends: Sequence[int]) -> Tensor:
    """Means over the steps until each block's end, of sums (B, n) until then: (m, B, n)."""
    return torch.stack([sums[end] / end for end in ends])


def block_error(running: Tensor, ends: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Standard error over time of the mean (n,), and autocorrelation time in steps (n,).

    Means of blocks, averaged over sequences, are joined in pairs again and again, and the largest
    standard error of all lengths counts (Flyvbjerg & Petersen 1989): short blocks are not independent,
    and what they miss is what the ratio of the two variances says. NaN with too few blocks.
    """
    starts = torch.tensor([0, *ends[:-1]])
    stops = torch.tensor(list(ends))
    lengths = (stops - starts).double()
    sums = running.mean(1) * stops[:, None]  # (m, n)
    blocks = (sums - torch.cat([torch.zeros_like(sums[:1]), sums[:-1]])) / lengths[:, None]
    if len(blocks) < FEWEST:
        unknown = torch.full_like(sums[0], torch.nan)
        return unknown, unknown
    variances = []
    while len(blocks) >= FEWEST:
        variances.append(blocks.var(0) / len(blocks))
        paired = blocks[: len(blocks) // 2 * 2]
        blocks = (paired[::2] + paired[1::2]) / 2
    worst = torch.stack(variances).amax(0)
    shortest = float(lengths.mean())
    time = torch.where(variances[0] > 0, shortest * worst / variances[0].clamp_min(1e-300), 0.0)
    return worst.sqrt(), time
