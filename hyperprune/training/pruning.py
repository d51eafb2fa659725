"""A recipe's section `prune` as what `SparseTraining` is given."""

from __future__ import annotations

from typing import Any

from hyperprune.plugins import registry
from hyperprune.recipe.records import CHOICES, Prune


def pruning(prune: Prune, density: float | None = None) -> dict[str, Any]:
    """Arguments of `SparseTraining` but for when, gradients and the seed; `density` is a budget's."""
    chosen = {kind: getattr(prune, kind) for kind in CHOICES["prune"]}
    density = 1.0 - prune.sparsity if density is None else density
    initial = None if prune.initial_sparsity is None else 1.0 - prune.initial_sparsity
    return {
        "density": density,
        "initial_density": None if initial is None else max(density, initial),
        **{kind: registry().bind(kind, c.name, c.options) for kind, c in chosen.items()},
        "init_scale": prune.init_scale,
        "unscaled": prune.unscaled,
        "removal_rate": prune.removal_rate,
        "regrown": prune.regrown,
        "stop": prune.stop,
        "exclude": prune.exclude,
        "block": prune.block,
    }
