"""Slices of a tensor that are divided by their norm, as weight norm's rows are.

A slice that lost its last weight would become 0/0. `along` is the dimension whose slices these are,
-1 where the tensor is divided as a whole (spectral norm), and None for any other tensor. What keeps
a norm above 0 is the slice's largest weight, so that one always stays.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.sparsity.select import choose
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
    size = torch.where(view.mask, view.weight.abs(), -1)
    rows = slices(size, view.along)
    largest = torch.zeros_like(rows, dtype=torch.bool)
    largest.scatter_(1, rows.argmax(1, keepdim=True), True)
    return view.mask & ~place(largest, view.mask, view.along)


def occupied(view: TensorView, mask: Tensor) -> Tensor:
    """A mask with as many entries, by lot, none of whose slices is empty.

    Each empty slice gets an entry, and a slice that has several gives one.
    """
    if view.along is None or view.along < 0:
        return mask
    rows = slices(mask, view.along).clone()
    empty = (rows.any(1) == 0).nonzero().squeeze(1)
    if not empty.numel():
        return mask
    for row in empty.tolist():
        rows[row] = choose(torch.ones_like(rows[row]), 1, view.generator)
    kept = torch.stack([choose(row, 1, view.generator) for row in rows])
    rows &= ~choose(rows & ~kept, empty.numel(), view.generator)
    return place(rows, mask, view.along)


def empties(mask: Tensor, along: int | None) -> bool:
    """Whether a mask empties a slice that is divided by its norm, or the whole tensor."""
    return not bool(slices(mask, -1 if along is None else along).any(1).all())
