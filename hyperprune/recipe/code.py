"""A recipe's own code: the plugin files that it names, found and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hyperprune.errors import PluginError
from hyperprune.plugins import use
from hyperprune.recipe.problems import Problem


def files_from(folder: Path, document: dict[str, Any]) -> None:
    """Let relative paths under `plugins` count from a folder, in place."""
    named = document.get("plugins")
    if isinstance(named, list) and all(isinstance(item, str) for item in named):
        document["plugins"] = [str(folder.absolute() / Path(item).expanduser()) for item in named]


def use_files(document: dict[str, Any], more: Sequence[str | Path]) -> Iterator[Problem]:
    """Run the files that a document names, and `more`, which are added to it; yields what fails.

    A `plugins` that is no list of paths is left to the record's own check.
    """
    named = document.get("plugins", [])
    if not (isinstance(named, list) and all(isinstance(item, str) for item in named)):
        named, more = [], ()
    added = [str(Path(item).expanduser().absolute()) for item in more]
    whole = list(dict.fromkeys([*named, *added]))
    try:
        use(whole)
    except PluginError as error:
        yield Problem("plugins", str(error))
        return
    if whole:
        document["plugins"] = whole
