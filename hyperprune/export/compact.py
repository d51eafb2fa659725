"""A network as one small file: which weights are active, and their values, nothing for the rest.

Layout 1 is a safetensors file. A tensor NAME of R rows (its first dimension) and C columns (all
others) is kept in whichever of four ways is smallest:

- dense: `NAME`, every value;
- bitmask: `NAME:bits` (uint8), a bit an entry in row-major order, lowest bit first, and
  `NAME:values`, the active entries in that order;
- blocks: as the bitmask, but a bit a block, row-major, of `NAME:block` (int32): rows and columns of a
  block, those at the far edges smaller. Values stay in the order of entries, not of blocks;
- columns: `NAME:columns` (uint16, or int32 where C > 65536), the column of every active entry in
  row-major order, `NAME:counts` (int32), active entries of each row, and `NAME:values`.

Values of matrices have the file's dtype; int8 values are times `NAME:scales` (float32), a number a
row. Vectors and single numbers are dense float32. The metadata entry `hyperprune` is JSON: `layout`,
`shapes` by name, `masked` names, and `network`, the record of `hyperprune.export.about`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from hyperprune.errors import RunError
from hyperprune.sparsity.blocks import Grid
from hyperprune.terms.blocks import EACH
from hyperprune.training.int8 import quantised

LAYOUT = 1
NARROW = 1 << 16
"""Columns that an index of 16 bits can address."""

Dtype: TypeAlias = Literal["float32", "float16", "bfloat16", "int8"]
DTYPES: tuple[Dtype, ...] = ("float32", "float16", "bfloat16", "int8")


def pack(
    name: str, weight: Tensor, mask: Tensor | None, dtype: Dtype, block: str = EACH
) -> dict[str, Tensor]:
    """The arrays that keep one weight; raises RunError where the dtype cannot hold it.

    `block` is what its mask comes in; where it does not, it is ignored.
    """
    if weight.dim() < 2:
        return {name: weight.float()}
    matrix = weight.detach().float().flatten(1)  # (R, C)
    active = torch.ones_like(matrix, dtype=torch.bool) if mask is None else mask.flatten(1).bool()
    values, scales = _quantised(name, matrix, dtype)
    counts, entries = active.sum(1, dtype=torch.int32), int(active.count_nonzero())
    size, wide = values.element_size(), 2 if matrix.shape[1] <= NARROW else 4
    costs = {
        "bits": math.ceil(active.numel() / 8) + entries * size,
        "columns": entries * (wide + size) + 4 * len(counts),
    }
    grid = Grid.of(block, tuple(matrix.shape), {})
    if grid is not None and torch.equal(grid.spread(grid.covers(active)), active):
        costs["blocks"] = math.ceil(grid.size / 8) + 8 + entries * size
    if entries == active.numel():  # a mask can only be left out where there is nothing to say
        costs["dense"] = entries * size
    cheapest = min(costs, key=lambda way: costs[way])
    found = {f"{name}:scales": scales} if scales is not None else {}
    if cheapest == "dense":
        return {name: values.view(weight.shape), **found}
    if cheapest == "bits":
        kept = {f"{name}:bits": _to_bits(active.flatten())}
    elif cheapest == "blocks":
        assert grid is not None
        extent = [min(grid.rows, matrix.shape[0]), min(grid.columns, matrix.shape[1])]
        kept = {
            f"{name}:bits": _to_bits(grid.covers(active).flatten()),
            f"{name}:block": torch.tensor(extent, dtype=torch.int32),
        }
    else:
        columns = active.nonzero()[:, 1].to(torch.uint16 if wide == 2 else torch.int32)
        kept = {f"{name}:columns": columns, f"{name}:counts": counts}
    return {**kept, f"{name}:values": values[active], **found}


def unpack(
    name: str, shape: tuple[int, ...], arrays: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """A weight (float32) and its mask from their arrays; raises ValueError where they disagree."""
    rows, entries = math.prod(shape[:1]), math.prod(shape)  # a single number is one row
    dense = arrays.get(name)
    if dense is not None:
        if tuple(dense.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(dense.shape)}, said to be {shape}")
        mask = torch.ones(entries, dtype=torch.bool)
        flat = dense.flatten().float()
    else:
        values = arrays[f"{name}:values"]
        mask = _mask(name, rows, entries, arrays)
        if values.dim() != 1 or int(mask.count_nonzero()) != values.numel():
            raise ValueError(f"{name} has {values.numel()} values for another number of places")
        flat = torch.zeros(entries)
        flat[mask] = values.float()
    scales = arrays.get(f"{name}:scales")
    if scales is not None:
        if tuple(scales.shape) != (rows,):
            raise ValueError(f"{name} has scales of shape {tuple(scales.shape)} for {rows} rows")
        flat = (flat.view(rows, -1) * scales.unsqueeze(1)).flatten()
    if not flat.isfinite().all():
        raise ValueError(f"{name} has values that are not finite")
    return flat.view(shape), mask.view(shape)


def _mask(name: str, rows: int, entries: int, arrays: Mapping[str, Tensor]) -> Tensor:
    """Active entries (N,) from a bitmask, of entries or blocks, or from columns."""
    width = entries // rows
    bits = arrays.get(f"{name}:bits")
    if bits is not None:
        return _mask_of_bits(name, rows, width, bits, arrays.get(f"{name}:block"))
    columns, counts = arrays[f"{name}:columns"].long(), arrays[f"{name}:counts"].long()
    if tuple(counts.shape) != (rows,) or int(counts.sum()) != columns.numel() or counts.min() < 0:
        raise ValueError(f"{name} has counts that do not add up to its columns")
    if columns.numel() and not 0 <= int(columns.min()) <= int(columns.max()) < width:
        raise ValueError(f"{name} has columns outside 0 to {width - 1}")
    mask = torch.zeros(rows, width, dtype=torch.bool)
    mask[torch.arange(rows).repeat_interleave(counts), columns] = True
    return mask.flatten()


def _mask_of_bits(name: str, rows: int, width: int, bits: Tensor, block: Tensor | None) -> Tensor:
    high, wide = (1, 1) if block is None else block.tolist()
    if not (0 < high <= rows and 0 < wide <= width):
        raise ValueError(f"{name} has blocks of {high} x {wide} in a matrix of {rows} x {width}")
    grid = Grid((rows, width), high, wide)
    if bits.dtype != torch.uint8 or tuple(bits.shape) != (math.ceil(grid.size / 8),):
        raise ValueError(f"{name} has a bitmask of another size")
    across = math.ceil(width / wide)
    return grid.spread(_from_bits(bits)[: grid.size].view(-1, across)).flatten()


def _quantised(name: str, matrix: Tensor, dtype: Dtype) -> tuple[Tensor, Tensor | None]:
    """Values in a dtype, with a scale a row (its largest magnitude is 127) for int8."""
    if dtype == "int8":
        values, scales = quantised(matrix)
        return values.to(torch.int8), scales
    values = matrix.to(getattr(torch, dtype))
    if not values.isfinite().all():
        raise RunError(f"{name} has weights beyond {dtype}'s range; choose bfloat16 or float32")
    return values, None


def _to_bits(mask: Tensor) -> Tensor:
    """Bools (N,) to bytes (⌈N/8⌉,), lowest bit first."""
    padded = torch.nn.functional.pad(mask.to(torch.uint8), (0, -len(mask) % 8)).view(-1, 8)
    return (padded << torch.arange(8, dtype=torch.uint8)).sum(1, dtype=torch.uint8)


def _from_bits(packed: Tensor) -> Tensor:
    """Bytes to bools, eight each, lowest bit first."""
    bits = packed.unsqueeze(1) >> torch.arange(8, dtype=torch.uint8)
    return (bits & 1).bool().flatten()
