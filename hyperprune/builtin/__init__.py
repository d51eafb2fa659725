"""What ships with hyperprune, registered through the hooks that any plugin uses.

Imports what any plugin may import. Called by nobody: the entry point in `pyproject.toml` names it.
"""

from __future__ import annotations

from hyperprune.builtin.controls import (
    GROWTHS,
    INITS,
    PRESETS,
    REDISTRIBUTIONS,
    REMOVALS,
    SCHEDULES,
)
from hyperprune.builtin.corpora import CORPORA
from hyperprune.builtin.distances import DISTANCES
from hyperprune.builtin.executors import EXECUTORS
from hyperprune.builtin.models import MODELS
from hyperprune.builtin.objectives import OBJECTIVES
from hyperprune.builtin.searchers import SEARCHERS
from hyperprune.builtin.tasks import TASKS
from hyperprune.hookspecs import Contributions, hookimpl


@hookimpl
def hyperprune_models() -> Contributions:
    """Recurrent networks."""
    return MODELS


@hookimpl
def hyperprune_corpora() -> Contributions:
    """Texts, and sequences of numbers."""
    return CORPORA


@hookimpl
def hyperprune_tasks() -> Contributions:
    """Tasks."""
    return TASKS


@hookimpl
def hyperprune_inits() -> Contributions:
    """Sparse initialisations."""
    return INITS


@hookimpl
def hyperprune_removals() -> Contributions:
    """Removal controls."""
    return REMOVALS


@hookimpl
def hyperprune_growths() -> Contributions:
    """Growth controls."""
    return GROWTHS


@hookimpl
def hyperprune_redistributions() -> Contributions:
    """Redistribution controls."""
    return REDISTRIBUTIONS


@hookimpl
def hyperprune_schedules() -> Contributions:
    """Removal-rate schedules."""
    return SCHEDULES


@hookimpl
def hyperprune_presets() -> Contributions:
    """Named methods of the literature."""
    return PRESETS


@hookimpl
def hyperprune_distances() -> Contributions:
    """Distances between spectra."""
    return DISTANCES


@hookimpl
def hyperprune_objectives() -> Contributions:
    """What a search minimises early."""
    return OBJECTIVES


@hookimpl
def hyperprune_searchers() -> Contributions:
    """Searchers."""
    return SEARCHERS


@hookimpl
def hyperprune_executors() -> Contributions:
    """Where candidates train."""
    return EXECUTORS
