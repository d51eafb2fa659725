"""One masked parameter with all that is kept beside it, and forgetting what an optimiser knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError
from hyperprune.model import Gates, gate_rows


@dataclass
class Masked:
    """All that is kept for one masked parameter."""

    name: str
    parameter: nn.Parameter
    gates: Mapping[str, slice]
    mask: Tensor  # bool: the truth
    keep: Tensor  # the mask in the weights' dtype: multiplying by it is 5 × as fast on a CPU
    ever: Tensor  # bool: was active at some time
    average: Tensor | None = None  # of the dense gradient, where a control reads it
    active: int = 0
    removed: int = 0  # by the last update
    grown: int = 0

    @classmethod
    def dense(cls, name: str, parameter: nn.Parameter, gates: Gates, averages: bool) -> Masked:
        """Everything active; raises SparsityError where gates do not fit the parameter's rows."""
        try:
            rows = gate_rows(gates, parameter.shape[0]) if gates else {}
        except ValueError as error:
            raise SparsityError(f"{name}: {error}") from None
        mask = torch.ones_like(parameter, dtype=torch.bool)
        return cls(
            name,
            parameter,
            rows,
            mask,
            torch.ones_like(parameter, requires_grad=False),
            mask.clone(),
            torch.zeros_like(parameter, requires_grad=False) if averages else None,
            mask.numel(),
        )

    def set_mask(self, mask: Tensor) -> None:
        """Take over a mask; weights are the caller's to zero."""
        self.mask.copy_(mask)
        self.keep.copy_(mask)
        self.ever |= mask
        self.active = int(mask.count_nonzero())


def forget(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, where: Tensor) -> None:
    """Wipe what an optimiser keeps for some entries of a parameter: they start afresh.

    An optimiser with a `forget(parameter, where)` of its own does it itself; for others every state
    tensor of the parameter's shape is a per-weight one.
    """
    own = getattr(optimizer, "forget", None)
    if own is not None:
        own(parameter, where)
        return
    for value in optimizer.state.get(parameter, {}).values():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value.masked_fill_(where, 0)
