"""Masks that come in blocks: what moves as one, how it is pooled, and which sizes there are.

A tensor is read as a matrix (R, C), C being all dimensions but the first. `[a, b]` divides it into
blocks of a rows and b columns; at the far edges, where they do not fit, blocks are smaller and count as
one all the same. `"rows"` are a row each, `"units"` the rows of a unit in all of the gates that a tensor
stacks (tensors of a model that says where its units stand: `hyperprune.sparsity.units`), `"columns"` all
that a unit sends into a tensor. `"n:m"` keeps n of every m weights that follow each other in a row
(`hyperprune.sparsity.groups`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hyperprune.errors import SparsityError
from hyperprune.sparsity.topk import constant
from hyperprune.terms.blocks import EACH, UNITS, block_name, n_of_m


def check_block(value: object) -> str:
    """As `block_name`; raises SparsityError."""
    try:
        return EACH if value is None else block_name(value)
    except ValueError as error:
        raise SparsityError(f"found block {value!r}; {error}") from None


def covered(grid: Grid | None, mask: Tensor) -> Tensor:
    """What moves as one and has an entry of a mask: blocks (P, Q), or without a grid the weights."""
    return mask if grid is None else grid.covers(mask)


@dataclass(frozen=True)
class Grid:
    """A matrix of R × C divided into blocks of `rows` × `columns`, its first rows first.

    `stacked` > 1: as many gates of equal size are stacked, and a unit's rows lie side by side.
    """

    shape: tuple[int, ...]
    rows: int
    columns: int
    stacked: int = 1
    shared: bool = True  # blocks of all tensors are alike, so that they move between them

    @classmethod
    def of(cls, name: str, shape: tuple[int, ...], gates: Mapping[str, slice]) -> Grid | None:
        """The grid of a block by name; None where weights move one by one."""
        high, wide = shape[0], math.prod(shape[1:])
        if name == EACH or n_of_m(name):
            return None
        if name == "rows":
            return cls(shape, 1, wide, shared=False)
        if name == "columns":
            return cls(shape, high, 1, shared=False)
        if name == UNITS:
            equal = len({rows.stop - rows.start for rows in gates.values()}) == 1
            stacked = len(gates) if equal and high % len(gates) == 0 else 1
            return cls(shape, 1, wide * stacked, stacked, shared=False)
        a, _, b = name.partition("x")
        return cls(shape, int(a), int(b))

    @property
    def size(self) -> int:
        """How many blocks there are."""
        (high, wide) = self._matrix_shape()
        return -(-high // self.rows) * -(-wide // self.columns)

    def weights(self, count: int) -> int:
        """Weights of so many blocks, none of which lies at an edge."""
        return count * self.rows * self.columns

    def covers(self, mask: Tensor) -> Tensor:
        """Blocks (P, Q) that have an entry of a mask."""
        return self._cut(mask).flatten(2).any(2)

    def spread(self, blocks: Tensor) -> Tensor:
        """Every entry of the blocks (P, Q) that are marked, in the tensor's shape."""
        high, wide = self._matrix_shape()
        mask = blocks.repeat_interleave(self.rows, 0).repeat_interleave(self.columns, 1)
        mask = mask[:high, :wide]
        if self.stacked > 1:
            mask = mask.view(high, self.stacked, -1).transpose(0, 1)
        return mask.reshape(self.shape)

    def pool(self, salience: Tensor) -> Tensor:
        """The mean salience of each block (P, Q); one number expanded stays one number expanded."""
        if constant(salience):
            high, wide = self._matrix_shape()
            lots = (-(-high // self.rows), -(-wide // self.columns))
            return salience.flatten()[0].expand(lots)
        entries = self._cut(torch.ones_like(salience)).sum((2, 3))
        return self._cut(salience).sum((2, 3)) / entries

    def _matrix_shape(self) -> tuple[int, int]:
        high, wide = self.shape[0], math.prod(self.shape[1:])
        return high // self.stacked, wide * self.stacked

    def _cut(self, tensor: Tensor) -> Tensor:
        """A tensor as blocks (P, Q, rows, columns), what lies beyond the edges 0."""
        high, wide = self._matrix_shape()
        matrix = tensor.reshape(self.shape[0], -1)
        if self.stacked > 1:
            matrix = matrix.view(self.stacked, high, -1).transpose(0, 1).reshape(high, wide)
        beyond = (0, -wide % self.columns, 0, -high % self.rows)
        matrix = functional.pad(matrix, beyond)
        parts = matrix.view(matrix.shape[0] // self.rows, self.rows, -1, self.columns)
        return parts.transpose(1, 2)
