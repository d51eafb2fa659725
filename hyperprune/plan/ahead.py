"""What takes long to start is begun as soon as a recipe is known, while it is settled."""

from __future__ import annotations

from hyperprune.plugins import registry
from hyperprune.recipe.records import Recipe


def prepare(recipe: Recipe) -> None:
    """Let the executor begin with what its workers will need; raises PluginError for a fault of it."""
    choice, workers = recipe.search.executor, recipe.search.workers
    executor = registry().get("executor", choice.name)
    executor.ask("prepare", 0 if workers == "auto" else workers, **choice.options)
