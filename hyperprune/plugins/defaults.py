"""What is meant where a recipe names nothing: the one place of core that knows what ships by name.

A recipe without the keys of `NAMES`, and `SparseTraining` without the arguments of `SPARSE`, is given
them by name through the registry, as if a person had written them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

InitScale: TypeAlias = Literal["none", "variance", "fan_in"]
"""What initial weights are scaled by, once there is a mask: see `sparsity.scale`."""

NAMES = {
    "corpus": "pydoc",
    "task": "language_modelling",
    "model": "stacked_lstm",
    "init": "uniform",
    "removal": "magnitude",
    "growth": "random",
    "redistribution": "none",
    "schedule": "cosine",
    "distance": "l2",
    "objective": "loss",
    "searcher": "ax",
    "executor": "processes",
}
"""Kind to name, for every kind that a recipe cannot do without. The objective is what the rule in
benchmarks/tables/PREREGISTRATION.md picked (docs/evidence.md). Where networks of several sizes compete, the
loss beside the dense network's after as many epochs is nearly fair to all (benchmarks/sparsity_signal.py).
"""

GIVEN = {"corpus": "arrays", "executor": "local"}
"""What reads the arrays into which data that are given in Python are put, and what trains a network that no
other process could find."""

Answers: TypeAlias = Literal["labels", "numbers", "series"]
"""What sequences are asked for: a class, numbers, or what comes next, where nothing else is given."""
TASKS: Mapping[Answers, str] = {
    "labels": "classification",
    "numbers": "regression",
    "series": "forecasting",
}
"""The task that a first recipe takes for sequences with such answers."""

FOLDER = "text"
"""The corpus that reads a folder of text."""
SPACE: Mapping[str, tuple[str, ...]] = {
    "init": ("uniform", "er"),
    "removal": ("magnitude", "set", "threshold", "global_magnitude"),
    "growth": ("random", "gradient"),
    "redistribution": ("none", "magnitude", "nonzeros"),
}
"""Controls that a first search chooses among."""
FEW_WEIGHTS: Mapping[str, tuple[str, ...]] = {**SPACE, "growth": ("gradient", "momentum")}
"""The same at sparsity 0.9 and above, where random growth needs more epochs (docs/settings.md)."""

INIT_SCALE: InitScale = "variance"
"""What recipes begin with, whose networks are always new: weights make up for their masks, as pilots
support (docs/settings.md). A module given to `SparseTraining` may be trained already: see below."""

SPARSE: Mapping[str, Any] = {
    **{kind: NAMES[kind] for kind in ("removal", "redistribution", "schedule")},
    "init": "er",
    "init_scale": "none",
    "unscaled": (),
    "growth": "gradient",
    "removal_rate": 0.5,
    "regrown": "reset",
    "exclude": (),
    "stop": 1.0,
}
"""What `SparseTraining` is given where nothing is said: a good first choice, not a recipe's neutral
starting point. (Digits at sparsity 0.9: 95.4 % right, against 89.3 with `uniform` and `random`;
`benchmarks/first_choice.py`.)
"""

SEARCH_PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "published": {
        "spectrum": {"state": "hidden", "distance": "l2", "reference": "same_epoch"},
        "search": {"objective": "distance"},
        "rounds": {"first": 3, "epochs": 3, "keep": 0.5, "hedge": False},
        "final": {"rescue": False},
    }
}
"""Searches by name, as `[section] key = value`; published: LSH as in arXiv 2506.07975."""
