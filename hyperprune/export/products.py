"""Products with a fixed matrix, and look-ups of its rows: dense or in int8 (`sparse` has the others)."""

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
        self.matrix, self.held = matrix, held((matrix,))

    def forward(self, x: Tensor) -> Tensor:
        """One row is a matrix–vector product."""
        if x.shape[0] == 1:
            return (self.matrix @ x[0]).unsqueeze(0)
        return x @ self.matrix.t()


class DenseRows(nn.Module):
    """Rows of a matrix by their numbers, as an embedding looks them up."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix, self.held = matrix, held((matrix,))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…) of numbers to dense rows (…, C)."""
        return self.matrix[rows]


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
        self.held = held((self.values, self.scales))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (…) of numbers to dense rows (…, C)."""
        return self.values[rows].float() * self.scales[rows].unsqueeze(-1)


def plain(weight: Tensor) -> Tensor:
    """A matrix (R, C) as it is, for both dense modules."""
    return weight.detach().contiguous()


def held(tensors: Iterable[Tensor]) -> dict[int, int]:
    """Bytes of tensors by address, so that what is shared counts once."""
    return {tensor.data_ptr(): tensor.nbytes for tensor in tensors}


def int8(weight: Tensor) -> Tensor:
    """A matrix (R, C) in int8 with a scale a row, for both int8 modules."""
    scales = weight.detach().abs().amax(1).double() / 127
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    zero = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # to go from a torch later than those that are allowed
        return torch.quantize_per_channel(weight.detach().float(), scales, zero, 0, torch.qint8)
