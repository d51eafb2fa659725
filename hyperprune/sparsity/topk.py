"""Which weights: exact top-k under a mask, ties and uniform draws settled by a generator."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

FEW = 1024
"""Candidates below which they are listed and shuffled rather than hit by chance."""


def choose(candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` true entries of a boolean tensor, every subset being equally likely.

    Positions are drawn until enough different ones are hit. Given how many were hit, every set of
    that size is equally likely, so dropping a uniform draw of the surplus keeps it uniform. The
    generator lives on the CPU: the same draw on every device.
    """
    available = int(candidates.count_nonzero())
    if not 0 <= count <= available:
        raise ValueError(f"cannot choose {count} of {available}")
    if count in (0, available):
        return candidates.clone() if count else torch.zeros_like(candidates)
    if 2 * count > available:  # leaving few out takes fewer draws than taking many in
        return candidates & ~choose(candidates, available - count, generator)
    flat = candidates.reshape(-1)
    chosen = torch.zeros_like(flat)
    if available < FEW or available * 16 < flat.numel():  # hitting one by chance would take long
        places = flat.nonzero().squeeze(1)  # (available,)
        order = torch.randperm(available, generator=generator)[:count].to(flat.device)
        chosen[places[order]] = True
        return chosen.view_as(candidates)
    hit = 0
    while hit < count:
        draws = (count - hit) * flat.numel() // available + 16
        places = torch.randint(flat.numel(), (draws,), generator=generator).to(flat.device)
        chosen[places] = True
        chosen &= flat
        hit = int(chosen.count_nonzero())
    if hit > count:
        chosen &= ~choose(chosen, hit - count, generator)
    return chosen.view_as(candidates)


def lowest(salience: Tensor, among: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Mask the `count` entries of lowest salience among the true ones; ties fall by lot."""
    (mask,) = lowest_of_all([salience], [among], count, generator)
    return mask


def highest(salience: Tensor, among: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Mask the `count` entries of highest salience among the true ones; ties fall by lot."""
    if constant(salience):
        return choose(among, count, generator)
    return lowest(-salience, among, count, generator)


def lowest_of_all(
    saliences: Sequence[Tensor], among: Sequence[Tensor], count: int, generator: torch.Generator
) -> list[Tensor]:
    """Mask the `count` lowest entries of several tensors ranked together; ties fall by lot.

    Of different dtypes, all are compared in the widest: a cut rounded to a narrow one would not part
    the others where it should.
    """
    if count == 0:
        return [torch.zeros_like(mask) for mask in among]
    if len(saliences) == 1 and constant(saliences[0]):
        return [choose(among[0], count, generator)]
    widest = functools.reduce(torch.promote_types, (salience.dtype for salience in saliences))
    saliences = [salience.to(widest) for salience in saliences]
    cut = kth_lowest(saliences, among, count)
    below = [(s < cut) & mask for s, mask in zip(saliences, among, strict=True)]
    level = [(s == cut) & mask for s, mask in zip(saliences, among, strict=True)]
    missing = count - sum(int(mask.count_nonzero()) for mask in below)
    if missing == sum(int(mask.count_nonzero()) for mask in level):
        return [low.logical_or_(tie) for low, tie in zip(below, level, strict=True)]
    drawn = choose(torch.cat([tie.reshape(-1) for tie in level]), missing, generator)
    parts = torch.split(drawn, [tie.numel() for tie in level])
    return [low.logical_or_(part.view_as(low)) for low, part in zip(below, parts, strict=True)]


def kth_lowest(saliences: Sequence[Tensor], among: Sequence[Tensor], count: int) -> Tensor:
    """Value of the `count`-th lowest entry (from 1) among the true ones of several tensors."""
    infinity = float("inf")
    values = [
        torch.where(mask, s, infinity).reshape(-1) for s, mask in zip(saliences, among, strict=True)
    ]
    flat = values[0] if len(values) == 1 else torch.cat(values)
    if flat.device.type != "cpu":
        return flat.kthvalue(count).values
    # NumPy's introselect is about six times as fast as kthvalue on a CPU.
    array = flat.float().numpy() if flat.dtype == torch.bfloat16 else flat.numpy()
    return torch.tensor(np.partition(array, count - 1)[count - 1], dtype=flat.dtype)


def constant(salience: Tensor) -> bool:
    """Whether a tensor is one number expanded: to the control all weights are equal."""
    return salience.numel() > 0 and not any(
        stride for stride, size in zip(salience.stride(), salience.shape, strict=True) if size > 1
    )
