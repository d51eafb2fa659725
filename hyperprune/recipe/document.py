"""A recipe from plain Python values, for those who call rather than write a file."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from hyperprune.errors import RecipeError
from hyperprune.recipe.load import read_document
from hyperprune.recipe.problems import printable, show
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.space import resolve, with_space


def from_document(document: Mapping[str, Any]) -> Recipe:
    """The recipe of a nested mapping, as TOML would give it; raises RecipeError, one line a key."""
    recipe, problems = read_document(_plain(document))
    if problems:
        raise RecipeError(printable(f"{item.path}: {item.message}") for item in problems)
    return with_space(recipe, resolve(recipe)[0])


def domain_of(key: str, value: Any) -> Any:
    """A space's entry as a recipe writes it; raises RecipeError for a tuple that is no range.

    `(low, high)` and `(low, high, "log")` are ranges, a list is a choice, all else is fixed.
    """
    if not isinstance(value, tuple):
        return value
    ends, rest = value[:2], value[2:]
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends)
    if len(ends) < 2 or not numbers or rest not in ((), ("log",)):
        raise RecipeError(
            [
                f"space.{key}: found {show(value)}; a tuple is a range, (low, high) or "
                '(low, high, "log"); give a list to choose from'
            ]
        )
    return {"low": ends[0], "high": ends[1], "log": bool(rest)}


def _plain(value: Any) -> Any:
    """A copy with lists for tuples and Python's numbers for NumPy's, which are what files hold."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value
