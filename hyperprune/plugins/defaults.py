"""What is meant where a recipe names nothing: the one place of core that knows what ships by name.

A recipe without these keys, and `SparseTraining` without these arguments, is given them by name
through the registry, as if a person had written them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {
    "corpus": "pydoc",
    "model": "stacked_lstm",
    "init": "uniform",
    "removal": "magnitude",
    "growth": "random",
    "redistribution": "none",
    "schedule": "cosine",
    "distance": "l2",
    "objective": "both",
    "searcher": "ax",
}
"""Kind to name, for every kind that a recipe cannot do without."""

SEARCH_PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "published": {
        "spectrum": {"state": "hidden", "distance": "l2", "reference": "same_epoch"},
        "search": {"objective": "distance"},
        "rounds": {"first": 3, "epochs": 3, "keep": 0.5, "hedge": False},
        "final": {"rescue": False},
    }
}
"""Searches by name, as `[section] key = value`; published: LSH as in arXiv 2506.07975."""
