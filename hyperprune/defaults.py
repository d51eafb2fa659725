"""What is meant where a recipe names nothing: the one place of core that knows what ships by name.

A recipe without these keys, and `SparseTraining` without these arguments, is given them by name
through the registry, as if a person had written them.
"""

from __future__ import annotations

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
