"""What is meant where a recipe names nothing: the one place of core that knows what ships by name.

A recipe without these keys, and `SparseTraining` without these arguments, is given them by name
through the registry, as if a person had written them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

InitScale: TypeAlias = Literal["none", "variance", "fan_in"]
"""What initial weights are scaled by, once there is a mask: see `sparsity.scale`."""

NAMES = {
    "corpus": "pydoc",
    "model": "stacked_lstm",
    "init": "uniform",
    "removal": "magnitude",
    "growth": "random",
    "redistribution": "none",
    "schedule": "cosine",
    "distance": "l2",
    "searcher": "ax",
}
"""Kind to name, for every kind that a recipe cannot do without."""

INIT_SCALE: InitScale = "variance"
"""Initial weights make up for their masks: what pilots support (docs/settings.md)."""

SEARCH_PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "published": {
        "spectrum": {"state": "hidden", "distance": "l2", "reference": "same_epoch"},
        "search": {"objective": "distance"},
        "rounds": {"first": 3, "epochs": 3, "keep": 0.5},
    }
}
"""Searches by name, as `[section] key = value`; published: LSH as in arXiv 2506.07975."""
