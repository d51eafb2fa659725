"""What a recipe takes of a machine."""

from __future__ import annotations

import os

from hyperprune.recipe.records import Recipe


def resources(recipe: Recipe) -> tuple[int, int]:
    """Worker processes of a recipe, and torch threads of each (0 in a recipe: cores / workers)."""
    workers = recipe.search.workers
    return workers, recipe.train.threads or max(1, (os.cpu_count() or 1) // workers)
