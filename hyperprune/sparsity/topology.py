"""The topology of a sparse network as plain records: who has how many active weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class TensorTopology:
    """Counts of one masked tensor; `removed` and `grown` are the last update's."""

    name: str
    shape: tuple[int, ...]
    active: int
    ever_active: int
    removed: int
    grown: int
    gates: Mapping[str, int]  # active weights of each gate, empty where rows stack none

    @classmethod
    def of(
        cls,
        name: str,
        mask: Tensor,
        ever: Tensor,
        gates: Mapping[str, slice],
        removed: int,
        grown: int,
    ) -> TensorTopology:
        """Count a mask, and the rows of each gate."""
        return cls(
            name,
            tuple(mask.shape),
            int(mask.count_nonzero()),
            int(ever.count_nonzero()),
            removed,
            grown,
            {gate: int(mask[rows].count_nonzero()) for gate, rows in gates.items()},
        )

    @property
    def size(self) -> int:
        """Weights of the tensor, active or not."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def density(self) -> float:
        """Share of the tensor's weights that are active."""
        return self.active / self.size


@dataclass(frozen=True)
class Topology:
    """Counts of a whole network at one training step."""

    step: int
    updates: int
    parameters: int  # of the model, biases and excluded tensors included
    tensors: tuple[TensorTopology, ...]

    @property
    def size(self) -> int:
        """Masked weights, active or not: Σ N."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def active(self) -> int:
        """Active masked weights: Σ n."""
        return sum(tensor.active for tensor in self.tensors)

    @property
    def sparsity(self) -> float:
        """Share of masked weights that are inactive."""
        return 1 - self.active / self.size

    @property
    def model_sparsity(self) -> float:
        """Share of all the model's parameters that are inactive weights."""
        return (self.size - self.active) / self.parameters

    @property
    def exploration(self) -> float:
        """Share of masked weights that were active at some time: ITOP's R_s (Liu et al. 2021)."""
        return sum(tensor.ever_active for tensor in self.tensors) / self.size

    def plain(self) -> dict[str, Any]:
        """Form that JSON gives back unchanged, from which `of_plain` makes the record again."""
        plain = asdict(self)
        plain["tensors"] = [{**tensor, "shape": [*tensor["shape"]]} for tensor in plain["tensors"]]
        return plain

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Topology:
        """Make the record from its JSON-able form."""
        tensors = tuple(
            TensorTopology(**{**tensor, "shape": tuple(tensor["shape"])})
            for tensor in plain["tensors"]
        )
        return cls(plain["step"], plain["updates"], plain["parameters"], tensors)
