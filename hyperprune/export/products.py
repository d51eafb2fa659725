"""Products with a fixed matrix, stored as it is fastest: dense, CSR with 32-bit indices, or int8."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class DenseProduct(nn.Module):
    """x (B, C) to x Wᵀ (B, R) with W as it is: a step of torch's fused layers costs far more."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix, self.held = matrix, _held((matrix,))

    def forward(self, x: Tensor) -> Tensor:
        """One row is a matrix–vector product."""
        if x.shape[0] == 1:
            return (self.matrix @ x[0]).unsqueeze(0)
        return x @ self.matrix.t()


class DenseRows(nn.Module):
    """Rows of a matrix by their numbers, as an embedding looks them up."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix, self.held = matrix, _held((matrix,))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…) of numbers to dense rows (…, C)."""
        return self.matrix[rows]


class SparseProduct(nn.Module):
    """x (B, C) to x Wᵀ (B, R) with W in CSR; 64-bit indices would take three times as long."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, x: Tensor) -> Tensor:
        """One row is a matrix–vector product, which is twice as fast as a product of matrices."""
        if x.shape[0] == 1:
            return (self.matrix @ x[0]).unsqueeze(0)
        return (self.matrix @ x.t()).t().contiguous()

    @property
    def held(self) -> dict[int, int]:
        """Bytes by address, so that what is shared counts once."""
        return _held(_parts(self.matrix))


class SparseRows(nn.Module):
    """Rows of a CSR matrix by their numbers, as an embedding looks them up."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix, self.width = matrix, matrix.shape[1]

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…) of numbers to dense rows (…, C)."""
        flat = rows.flatten()
        starts = self.matrix.crow_indices()
        first, counts = starts[flat].long(), (starts[flat + 1] - starts[flat]).long()
        row = torch.arange(len(flat)).repeat_interleave(counts)
        inside = torch.arange(len(row)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        place = first.repeat_interleave(counts) + inside
        found = torch.zeros(len(flat), self.width)
        found[row, self.matrix.col_indices()[place].long()] = self.matrix.values()[place]
        return found.view(*rows.shape, self.width)

    @property
    def held(self) -> dict[int, int]:
        """Bytes by address, so that what is shared counts once."""
        return _held(_parts(self.matrix))


class Int8Product(nn.Module):
    """x (B, C) to x Wᵀ (B, R) with W in int8, a scale a row, and x quantised as it comes."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.held = {id(self): matrix.numel() + 4 * matrix.shape[0]}
        self.packed: Any = torch.ops.quantized.linear_prepack(matrix, None)

    def forward(self, x: Tensor) -> Tensor:
        """Seven bits of x, so that no processor's sums of 16 bits overflow."""
        product: Tensor = torch.ops.quantized.linear_dynamic(x, self.packed, True)
        return product


class Int8Rows(nn.Module):
    """Rows of an int8 matrix, as an embedding looks them up."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.values, self.scales = matrix.int_repr(), matrix.q_per_channel_scales().float()
        self.held = _held((self.values, self.scales))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…) of numbers to dense rows (…, C)."""
        return self.values[rows].float() * self.scales[rows].unsqueeze(-1)


def plain(weight: Tensor) -> Tensor:
    """A matrix (R, C) as it is, for both dense modules."""
    return weight.detach().contiguous()


def csr(weight: Tensor) -> Tensor:
    """A matrix (R, C) in CSR with 32-bit indices, for both sparse modules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CSR is in beta, and its invariants hold here
        wide = weight.detach().float().to_sparse_csr()
        return torch.sparse_csr_tensor(
            wide.crow_indices().int(), wide.col_indices().int(), wide.values(), wide.shape
        )


def _parts(matrix: Tensor) -> tuple[Tensor, ...]:
    return matrix.crow_indices(), matrix.col_indices(), matrix.values()


def _held(tensors: Iterable[Tensor]) -> dict[int, int]:
    return {tensor.data_ptr(): tensor.nbytes for tensor in tensors}


def int8(weight: Tensor) -> Tensor:
    """A matrix (R, C) in int8 with a scale a row, for both int8 modules."""
    scales = weight.detach().abs().amax(1).double() / 127
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    zero = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # to go from a torch later than those that are allowed
        return torch.quantize_per_channel(weight.detach().float(), scales, zero, 0, torch.qint8)
