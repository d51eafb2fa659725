"""From networks to the blocks of their Jacobians: analytic cells, or automatic differentiation.

Imports the model contract. Called by `lyapunov.spectrum` and by models that bring a tangent.
"""

from hyperprune.lyapunov.tangent.contract import (
    SEGMENT,
    Block,
    LayerTangent,
    MemoryBlock,
    StateKind,
)
from hyperprune.lyapunov.tangent.scaled import Scaled

__all__ = ["SEGMENT", "Block", "LayerTangent", "MemoryBlock", "Scaled", "StateKind"]
