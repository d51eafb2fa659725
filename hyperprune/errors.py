"""Errors that are meant for people: what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HyperpruneError(Exception):
    """Base of every expected failure; the command line prints its text and exits with `exit_code`."""

    exit_code = 2


class RecipeError(HyperpruneError):
    """Everything that is wrong with a recipe, one line a problem."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PluginError(HyperpruneError):
    """A plugin is missing, broken, or answers with something its contract does not allow."""


class CorpusError(HyperpruneError):
    """A corpus is missing, damaged or too small."""


class SpectrumError(HyperpruneError):
    """A Lyapunov spectrum cannot be computed or read."""


class SparsityError(HyperpruneError):
    """A mask cannot be made as asked."""


class RunError(HyperpruneError):
    """A run folder cannot be used, or a run cannot go on."""


class Ended(RunError):
    """A run is over without a result: nothing is left of it that could go on."""


class Diverged(HyperpruneError):
    """Training left the finite numbers: a result of the candidate, not of the program."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the known name closest to a mistyped one, else nothing."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {match[0]!r}?)" if match else ""


class Stopped(HyperpruneError):
    """A person or a scheduler asked the run to stop; everything up to the last epoch is saved."""

    exit_code = 130


class SparsityNotice(UserWarning):
    """Sparse training leaves something alone, and goes on: what, and why."""
