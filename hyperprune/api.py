"""hyperprune from Python and notebooks: the same runs as on the command line, as typed records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperprune import pipeline
from hyperprune.events import Observer
from hyperprune.recipe import load_recipe
from hyperprune.recipe.records import Recipe
from hyperprune.result import RunResult

__all__ = ["load_recipe", "load_run", "resume", "run"]


def run(
    recipe: Recipe | Path | str,
    *,
    overrides: Sequence[str] = (),
    folder: Path | str | None = None,
    observers: Sequence[Observer] = (),
) -> RunResult:
    """Carry out a recipe: a record, a file, or the name of one that ships.

    `overrides` are settings such as `"prune.sparsity=0.8"` (not with a record). Observers are told
    every event as it happens. A recipe with `search.workers` above 1 starts processes: a script
    that calls this needs the usual `if __name__ == "__main__":`. Raises HyperpruneError.
    """
    settled = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides)
    target = Path(folder) if folder is not None else None
    return pipeline.run(settled, folder=target, observers=observers)


def resume(folder: Path | str, *, observers: Sequence[Observer] = ()) -> RunResult:
    """Go on with a run that was stopped; a finished one answers with its result."""
    return pipeline.resume(Path(folder), observers=observers)


def load_run(folder: Path | str) -> RunResult:
    """Read the result of a finished run."""
    return pipeline.load_run(Path(folder))
