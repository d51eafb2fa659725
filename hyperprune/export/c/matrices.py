"""Constant matrices as tables: dense, compressed rows, or small blocks; float32 or int8.

A product y = W x reads W (N, K) by rows. int8 values have a scale a row, which is the row's largest
magnitude over 127; products are summed in int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperprune.training.int8 import quantised

Form = Literal["dense", "csr", "blocks"]
Number = Literal["float32", "int8"]
NARROW = 2**16


@dataclass(frozen=True, eq=False)
class Packed:
    """A matrix (rows, columns) as C tables.

    values: of rows, of entries, or of blocks; a block's are by columns for float32, by rows for int8.
    starts: (rows of blocks + 1,) where each row's entries begin; columns: the first column of each.
    scales: (rows,) of int8. block: rows and columns of a block.
    """

    rows: int
    columns: int
    form: Form
    number: Number
    values: NDArray[np.generic]
    starts: NDArray[np.generic] | None = None
    at: NDArray[np.generic] | None = None
    scales: NDArray[np.float32] | None = None
    block: tuple[int, int] = (1, 1)

    @property
    def nbytes(self) -> int:
        """Bytes of all its tables."""
        tables = (self.values, self.starts, self.at, self.scales)
        return sum(table.nbytes for table in tables if table is not None)

    @property
    def operations(self) -> int:
        """Multiplications of a product."""
        return int(self.values.size)


def pack(weight: Tensor, form: Form, number: Number, block: tuple[int, int] = (8, 4)) -> Packed:
    """Pack a matrix (N, K); zeros are left out by `csr`, and blocks of zeros by `blocks`."""
    dense = weight.detach().float()
    rows, columns = dense.shape
    scales = None
    values: NDArray[np.generic] = dense.numpy()
    if number == "int8":
        whole, of_rows = quantised(dense)
        values, scales = whole.to(torch.int8).numpy(), of_rows.numpy()
    if form == "dense":
        return Packed(rows, columns, form, number, values, scales=scales)
    if form == "csr":
        block = (1, 1)
    high, wide = block
    tall, broad = -(-rows // high), -(-columns // wide)
    padded = np.zeros((tall * high, broad * wide), values.dtype)
    padded[:rows, :columns] = values
    tiles = padded.reshape(tall, high, broad, wide).transpose(0, 2, 1, 3)  # (tall, broad, r, c)
    kept = np.asarray(tiles.any((2, 3)))
    kept[0, 0] |= not kept.any()  # C has no empty arrays
    own = tiles[kept]
    if number == "float32":
        own = own.transpose(0, 2, 1)  # a column of the block is one vector
    at = np.nonzero(kept)[1] * wide
    return Packed(
        rows,
        columns,
        form,
        number,
        np.ascontiguousarray(own),
        np.concatenate([[0], kept.sum(1).cumsum()]).astype(np.uint32),
        at.astype(np.uint16 if columns < NARROW else np.uint32),
        scales,
        block,
    )


def smallest(weight: Tensor, number: Number, blocks: Sequence[tuple[int, int]]) -> Packed:
    """The form with the fewest bytes; of equal ones dense before blocks before compressed rows."""
    tried = [pack(weight, "dense", number)]
    tried += [pack(weight, "blocks", number, block) for block in blocks]
    tried.append(pack(weight, "csr", number))
    return min(tried, key=lambda item: item.nbytes)


def unpacked(packed: Packed) -> NDArray[np.float32]:
    """The matrix (N, K) that the tables stand for, rounded as they are."""
    if packed.starts is None or packed.at is None:
        dense = packed.values.astype(np.float32)
    else:
        high, wide = packed.block
        tall = len(packed.starts) - 1
        whole = np.zeros((tall * high, packed.columns + wide), np.float32)
        for row in range(tall):
            for k in range(int(packed.starts[row]), int(packed.starts[row + 1])):
                tile = packed.values[k].astype(np.float32)
                tile = tile if packed.number == "int8" else tile.T
                at = int(packed.at[k])
                whole[row * high : (row + 1) * high, at : at + wide] = tile
        dense = whole[: packed.rows, : packed.columns]
    return dense if packed.scales is None else dense * packed.scales[:, None]
