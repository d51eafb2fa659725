"""Densities of a tensor's gates, in proportion to shares that a recipe gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from hyperprune.sparsity import TensorView

Share = Annotated[float, Field(gt=0, le=1e6)]
Shares = Annotated[
    Sequence[Share],
    Field(description="densities of the gates in their order, one to another"),
]


def gate_shares(view: TensorView, shares: Shares) -> tuple[list[slice], list[float]]:
    """Rows of each gate with its share; a tensor without gates is one, and no shares are equal ones.

    Raises ValueError where a tensor has another number of gates than there are shares.
    """
    gates = view.gates
    if not gates:
        return [slice(0, len(view.weight))], [1.0]
    if shares and len(shares) != len(gates):
        raise ValueError(
            f"{view.name} has {len(gates)} gates ({', '.join(gates)}), and shares has {len(shares)} numbers"
        )
    return list(gates.values()), list(shares or [1.0] * len(gates))
