"""Slices of a tensor that are divided by their norm, as weight norm's rows are.

A slice that lost its last weight would become 0/0. `along` is the dimension whose slices these are,
-1 where the tensor is divided as a whole (spectral norm), and None for any other tensor. What keeps
a norm above 0 is the slice's largest weight, so that one always stays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.sparsity.topk import choose
from hyperprune.sparsity.view import TensorView


def slices(tensor: Tensor, along: int) -> Tensor:
    """The slices as rows, (slices, entries of each)."""
    return tensor.reshape(1, -1) if along < 0 else tensor.movedim(along, 0).flatten(1)


def place(rows: Tensor, tensor: Tensor, along: int) -> Tensor:
    """Rows of slices in the shape of a tensor again."""
    if along < 0:
        return rows.reshape(tensor.shape)
    moved = tensor.movedim(along, 0)
    return rows.reshape(moved.shape).movedim(0, along).contiguous()


def removable(view: TensorView) -> Tensor:
    """Active entries without the largest of each slice: what may go."""
    if view.along is None:
        return view.mask
    return view.mask & ~place(_largest(view, view.mask), view.mask, view.along)


def occupied(view: TensorView, mask: Tensor) -> Tensor:
    """A mask with as many entries, each of whose slices has a weight that is not 0, if it has any.

    A slice without gets its largest weight, and entries that are nobody's largest, drawn by lot, go.
    """
    if view.along is None:
        return mask
    rows = slices(mask, view.along).clone()
    bare = ~(rows & (slices(view.weight, view.along) != 0)).any(1)
    if not bool(bare.any()):
        return mask
    before = int(rows.count_nonzero())
    rows[bare] |= _largest(view, torch.ones_like(mask))[bare]
    surplus = int(rows.count_nonzero()) - before
    spare = rows & ~_largest(view, place(rows, mask, view.along))
    return place(rows & ~choose(spare, surplus, view.generator), mask, view.along)


def _largest(view: TensorView, mask: Tensor) -> Tensor:
    """The largest weight of a mask in each slice, (slices, entries of each)."""
    assert view.along is not None
    size = slices(torch.where(mask, view.weight.abs(), -1), view.along)
    largest = torch.zeros_like(size, dtype=torch.bool)
    largest.scatter_(1, size.argmax(1, keepdim=True), True)
    return largest & slices(mask, view.along)


def empties(mask: Tensor, along: int | None) -> bool:
    """Whether a mask empties a slice that is divided by its norm, or the whole tensor."""
    return not bool(slices(mask, -1 if along is None else along).any(1).all())
