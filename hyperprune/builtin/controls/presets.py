"""Named methods of the literature as `[prune]` keys, every one of which a recipe may override.

`regrown` is what each method's own code does with a weight that an update removes and grows again:
RigL's counts as new only what was inactive before the update; that of SNFS, on which Selfish-RNN's and
ITOP's build, masks weights after growth, not between; SET's zeroes them between.
"""

from __future__ import annotations

from typing import Any


def static() -> dict[str, Any]:
    """Static sparse training: a random topology that never changes."""
    return {"init": "uniform", "update": "never"}


def set_() -> dict[str, Any]:
    """SET, sparse evolutionary training: Mocanu et al. 2018."""
    return {
        "init": "er",
        "removal": "set",
        "growth": "random",
        "redistribution": "none",
        "schedule": "constant",
        "removal_rate": 0.3,
        "update": "epoch",
        "regrown": "reset",
    }


def rigl() -> dict[str, Any]:
    """RigL: grow by the dense gradient, every 100 steps of the first 75 %: Evci et al. 2020."""
    return {
        "init": "er",
        "removal": "magnitude",
        "growth": "gradient",
        "redistribution": "none",
        "schedule": {"name": "cosine", "minimum": 0.0},
        "removal_rate": 0.3,
        "update": 100,
        "stop": 0.75,
        "regrown": "keep",
    }


def snfs() -> dict[str, Any]:
    """Sparse networks from scratch, by gradient averages: Dettmers & Zettlemoyer 2019."""
    return {
        "init": "uniform",
        "removal": "magnitude",
        "growth": "momentum",
        "redistribution": "momentum",
        "schedule": "cosine",
        "removal_rate": 0.5,
        "update": "epoch",
        "regrown": "keep",
    }


def selfish_rnn() -> dict[str, Any]:
    """Selfish-RNN: growth shared out among gates; r₀ of its stacked LSTM: Liu et al. 2021."""
    return {
        "init": "uniform",
        "removal": "magnitude",
        "growth": "cell_gate",
        "redistribution": "none",
        "schedule": "cosine",
        "removal_rate": 0.8,
        "update": "epoch",
        "regrown": "keep",
    }


def itop() -> dict[str, Any]:
    """In-time over-parameterisation: visit never-active weights first: Liu et al. 2021 (ITOP)."""
    return {
        "init": "er",
        "removal": "magnitude",
        "growth": "random_unfired",
        "redistribution": "none",
        "schedule": "cosine",
        "removal_rate": 0.5,
        "update": "epoch",
        "regrown": "keep",
    }


def gradual() -> dict[str, Any]:
    """Gradual magnitude pruning: dense to sparse by a cubic schedule: Zhu & Gupta 2017."""
    return {
        "initial_sparsity": 0.0,
        "removal": "magnitude",
        "growth": "random",
        "schedule": "constant",
        "removal_rate": 0.0,
        "update": "epoch",
        "stop": 0.75,
    }


def snip() -> dict[str, Any]:
    """SNIP: one-shot pruning at initialisation by connection sensitivity: Lee et al. 2019."""
    return {"init": "snip", "update": "never"}
