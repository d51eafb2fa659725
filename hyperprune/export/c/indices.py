"""Where the elements of a value lie in its buffer: how far apart, and in how few loops."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def strides(index: Tensor) -> list[int]:
    """How far apart neighbours of an index lie, a dimension each; 0 where there is but one."""
    first = (0,) * index.dim()
    found = []
    for d, size in enumerate(index.shape):
        second = tuple(int(k == d) for k in range(index.dim()))
        found.append(int(index[second] - index[first]) if size > 1 else 0)
    return found


def even(index: Tensor) -> bool:
    """Whether neighbours of an index lie equally far apart all along each dimension."""
    place = index.flatten()[0].expand(index.shape)
    for d, stride in enumerate(strides(index)):
        steps = stride * torch.arange(index.shape[d])
        place = place + steps.view([-1 if k == d else 1 for k in range(index.dim())])
    return torch.equal(place, index)


def merged(indices: Sequence[Tensor]) -> tuple[list[int], list[list[int]]]:
    """Loops over a shape, as few as there can be: sizes, and each index's strides in them."""
    shape = list(indices[0].shape)
    apart = [strides(index) for index in indices]
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in indices]
    for d, size in enumerate(shape):
        if size == 1:
            continue
        fits = sizes and all(
            own[-1] == size * each[d] for own, each in zip(kept, apart, strict=True)
        )
        if fits:
            sizes[-1] *= size
            for own, each in zip(kept, apart, strict=True):
                own[-1] = each[d]
        else:
            sizes.append(size)
            for own, each in zip(kept, apart, strict=True):
                own.append(each[d])
    return sizes, kept
