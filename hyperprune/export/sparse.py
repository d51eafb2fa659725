"""Products with a fixed sparse matrix, stored by what its active weights look like.

Three ways, of which the first that fits is taken:

- a part: some rows and columns hold (nearly) all that is active, so they are a smaller dense matrix;
- strips: active weights stand in blocks of 8, 16 or 32 rows, so that one index goes with as many
  values, and a processor multiplies them at once (torch's own BSR takes ten times as long here);
- CSR with 32-bit indices, of 64 bits three times as slow, for anything else.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.export.products import held

FULL = 0.75
"""Share of a part, or of strips, that is active: below it CSR reads less."""
HEIGHTS = (32, 16, 8)
"""Rows of a strip; with four, the indices outweigh what is saved."""


@dataclass(frozen=True)
class Part:
    """The rows and columns of a matrix that hold anything; None where that is all of them."""

    matrix: Tensor  # (rows kept, columns kept)
    rows: Tensor | None
    columns: Tensor | None
    shape: tuple[int, int]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that is held in memory."""
        return tuple(t for t in (self.matrix, self.rows, self.columns) if t is not None)


@dataclass(frozen=True)
class Strips:
    """Strips of a column's neighbours: `values` (N, height), strips of equal rows one after another."""

    values: Tensor
    columns: Tensor  # (N,) int32
    starts: Tensor  # (⌈R/height⌉ + 1,) int32: where each group of rows begins
    order: Tensor  # (N,) int32: 0, 1, 2, …, as the sum over strips wants it
    shape: tuple[int, int]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that is held in memory."""
        return self.values, self.columns, self.starts, self.order


@dataclass(frozen=True)
class Csr:
    """A matrix in torch's CSR."""

    matrix: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that is held in memory."""
        return self.matrix.crow_indices(), self.matrix.col_indices(), self.matrix.values()


Stored: TypeAlias = Part | Strips | Csr


def sparse(weight: Tensor) -> Stored:
    """A matrix (R, C) in the way that fits it."""
    weight = weight.detach().float()
    active = weight != 0
    count = int(active.count_nonzero())
    rows, columns = active.any(1), active.any(0)
    if count >= FULL * int(rows.sum()) * int(columns.sum()):
        return Part(
            weight[rows][:, columns].contiguous(), _places(rows), _places(columns), _shape(weight)
        )
    for height in HEIGHTS:
        covered = _cut(active, height).any(1)  # (P, C)
        if count >= FULL * height * int(covered.count_nonzero()):
            return _strips(weight, covered, height)
    return Csr(_csr(weight))


def _places(kept: Tensor) -> Tensor | None:
    """Numbers of what is kept; None where that is everything."""
    return None if bool(kept.all()) else kept.nonzero().flatten()


def _strips(weight: Tensor, covered: Tensor, height: int) -> Strips:
    values = _cut(weight, height).transpose(1, 2)[covered].contiguous()  # (N, height)
    starts = torch.zeros(len(covered) + 1, dtype=torch.int32)
    starts[1:] = covered.sum(1).cumsum(0)
    columns = covered.nonzero()[:, 1].int()
    order = torch.arange(len(columns), dtype=torch.int32)
    return Strips(values, columns, starts, order, _shape(weight))


def _cut(matrix: Tensor, height: int) -> Tensor:
    """A matrix (R, C) as (⌈R/height⌉, height, C), what lies beyond the last row 0."""
    padded = functional.pad(matrix, (0, 0, 0, -len(matrix) % height))
    return padded.view(-1, height, matrix.shape[1])


def _shape(weight: Tensor) -> tuple[int, int]:
    return weight.shape[0], weight.shape[1]


def _csr(weight: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CSR is in beta, and its invariants hold here
        wide = weight.to_sparse_csr()
        return torch.sparse_csr_tensor(
            wide.crow_indices().int(), wide.col_indices().int(), wide.values(), wide.shape
        )


class _Held(nn.Module):
    """Says what it holds."""

    stored: Stored

    @property
    def held(self) -> dict[int, int]:
        """Bytes by address, so that what is shared counts once."""
        return held(self.stored.tensors)


class PartProduct(_Held):
    """x (B, C) to x Wᵀ (B, R) with W in a part."""

    def __init__(self, stored: Part) -> None:
        super().__init__()
        self.stored: Part = stored

    def forward(self, x: Tensor) -> Tensor:
        """One row is a matrix–vector product."""
        part = self.stored
        if part.columns is not None:
            x = x.index_select(1, part.columns)
        found = (part.matrix @ x[0]).unsqueeze(0) if x.shape[0] == 1 else x @ part.matrix.t()
        if part.rows is None:
            return found
        return found.new_zeros(len(found), part.shape[0]).index_copy_(1, part.rows, found)


class StripProduct(_Held):
    """x (B, C) to x Wᵀ (B, R) with W in strips: a weighted sum of strips for each group of rows."""

    def __init__(self, stored: Strips) -> None:
        super().__init__()
        self.stored: Strips = stored

    def forward(self, x: Tensor) -> Tensor:
        """A row after another: batches are small here."""
        own = self.stored
        rows = [
            functional.embedding_bag(
                own.order,
                own.values,
                own.starts,
                mode="sum",
                per_sample_weights=row.index_select(0, own.columns),
                include_last_offset=True,
            )
            for row in x
        ]
        return torch.stack(rows).flatten(1)[:, : own.shape[0]]


class CsrProduct(_Held):
    """x (B, C) to x Wᵀ (B, R) with W in CSR."""

    def __init__(self, stored: Csr) -> None:
        super().__init__()
        self.stored: Csr = stored

    def forward(self, x: Tensor) -> Tensor:
        """One row is a matrix–vector product, which is twice as fast as a product of matrices."""
        matrix = self.stored.matrix
        if x.shape[0] == 1:
            return (matrix @ x[0]).unsqueeze(0)
        return (matrix @ x.t()).t().contiguous()


class SparseRows(_Held):
    """Rows of a sparse matrix by their numbers, as an embedding looks them up."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.stored = stored

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…) of numbers to dense rows (…, C)."""
        flat, own = rows.flatten(), self.stored
        if isinstance(own, Part):
            found = _rows_of_part(own, flat)
        elif isinstance(own, Strips):
            height = own.values.shape[1]
            width = own.shape[1]
            found = _gathered(own.starts, own.columns, own.values, flat, height, width)
        else:
            starts, columns, values = own.tensors
            width = own.matrix.shape[1]
            found = _gathered(starts, columns, values.unsqueeze(1), flat, 1, width)
        return found.view(*rows.shape, -1)


def _rows_of_part(part: Part, rows: Tensor) -> Tensor:
    """Dense rows (N, C) of a part."""
    if part.rows is None:
        kept = part.matrix[rows]
    else:
        place = torch.searchsorted(part.rows, rows)
        there = torch.isin(rows, part.rows)
        kept = part.matrix.new_zeros(len(rows), part.matrix.shape[1])
        kept[there] = part.matrix[place[there]]
    if part.columns is None:
        return kept
    return kept.new_zeros(len(kept), part.shape[1]).index_copy_(1, part.columns, kept)


def _gathered(
    starts: Tensor, columns: Tensor, values: Tensor, rows: Tensor, height: int, width: int
) -> Tensor:
    """Dense rows (N, C) of what stands in groups of `height` rows; values (entries, height)."""
    group, lane = rows // height, rows % height
    first, counts = starts[group].long(), (starts[group + 1] - starts[group]).long()
    row = torch.arange(len(rows)).repeat_interleave(counts)
    inside = torch.arange(len(row)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    place = first.repeat_interleave(counts) + inside
    found = torch.zeros(len(rows), width)
    found[row, columns[place].long()] = values[place, lane[row]]
    return found


def sparse_product(stored: Stored) -> nn.Module:
    """What multiplies by a stored matrix."""
    if isinstance(stored, Part):
        return PartProduct(stored)
    return StripProduct(stored) if isinstance(stored, Strips) else CsrProduct(stored)


def sparse_rows(stored: Stored) -> nn.Module:
    """What looks rows up in a stored matrix."""
    return SparseRows(stored)
