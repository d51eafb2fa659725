"""What a study was asked for, checked: the recipe's own sections, and the loop's own settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from hyperprune.errors import RecipeError
from hyperprune.recipe import default_configuration, space_of
from hyperprune.recipe.check import check_rounds
from hyperprune.recipe.document import domain_of, from_document
from hyperprune.recipe.records import Prune, Recipe
from hyperprune.search.space import Configuration, Dimension, Range, Space, Values, key_of

SECTIONS = ("prune", "spectrum", "search", "rounds", "final")
"""Sections of a recipe that a study has."""
ALIEN = {
    "prune": ("active", "budget", "budget_dtype", "width"),  # of networks that a run makes
    "spectrum": ("sequences",),  # those of `inputs`
    "search": ("workers", "executor", "silence"),
    "final": ("keep", "seeds", "stop_at_target", "int8_epochs", "int8_lr", "retries"),
}
"""Keys of them that are a run's, and no study's."""
ANYTHING_ELSE = "a number, a text, true or false, or a list or table of these"


@dataclass(frozen=True)
class Settings:
    """recipe: the sections that a study has; space: of pruning and of the loop; base: the loop's own
    settings where the space says nothing, which the dense reference has."""

    recipe: Recipe
    space: Space
    base: Mapping[str, Any]

    @property
    def first(self) -> dict[str, Any] | None:
        """The configuration of what is said outside the space; None where the space has it not."""
        found = default_configuration(self.recipe)
        if found is None:
            return None
        own = [item for item in self.space.dimensions if item.path not in found]
        own = [item for item in own if not item.path.startswith("prune.")]
        found |= {item.path: self.base[item.path] for item in own}
        return found if self.space.contains(found) else None

    def plain(self) -> dict[str, Any]:
        """All of it as JSON."""
        whole = self.recipe.model_dump(mode="json")
        said: dict[str, Any] = {"title": whole["title"], "seed": whole["seed"]}
        said["epochs"] = self.recipe.train.epochs
        said |= {section: whole[section] for section in SECTIONS}
        said["space"] = {item.path: _domain(item) for item in self.space.dimensions}
        return {**said, "base": dict(self.base)}


def settle(
    space: Mapping[str, Any],
    base: Mapping[str, Any],
    sections: Mapping[str, Mapping[str, Any] | None],
    *,
    epochs: int,
    seed: int,
    title: str,
) -> Settings:
    """Check what a study was asked for; raises RecipeError with every problem, one a line."""
    domains = {_path(key): domain_of(key, value) for key, value in space.items()}
    problems = list(_alien(sections))
    problems += [
        f"space.{key}: is prune.{key}, which the space has too; say one"
        for key in space
        if _path(key) != key and _path(key) in space
    ]
    pruning = {path: value for path, value in domains.items() if path.startswith("prune.")}
    document: dict[str, Any] = {name: dict(value) for name, value in sections.items() if value}
    document |= {"title": title, "seed": seed, "train": {"epochs": epochs}, "space": pruning}
    try:
        recipe = from_document(document)
    except RecipeError as error:
        raise RecipeError([*problems, *error.problems]) from None
    own: list[Dimension] = []
    for key in (path for path in domains if path not in pruning):
        try:
            own.append(_own(key, domains[key]))
        except RecipeError as error:
            problems += error.problems
    problems += [
        f"base.{key}: found {value!r}; expected {ANYTHING_ELSE}"
        for key, value in base.items()
        if not _is_plain(value)
    ]
    problems += [
        f"base.{key}: is a setting of pruning, which the dense reference has not; say it in prune"
        for key in base
        if _path(key).startswith("prune.")
    ]
    whole = Space((*space_of(recipe).dimensions, *own))
    problems += [f"{item.path}: {item.message}" for item in check_rounds(recipe, whole.size)]
    if problems:
        raise RecipeError(dict.fromkeys(problems))
    return Settings(recipe, whole, {**{item.path: _middle(item) for item in own}, **base})


def digest(inputs: Any) -> str:
    """SHA-256 of what drives the spectra: of tensors, wherever they are held.

    Raises RecipeError for what another process could not know again.
    """
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            found.update(f"{value.dtype} {tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().flatten()
            found.update(flat.view(torch.uint8).numpy().tobytes())
        elif isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
            found.update(f"{value.dtype} {value.shape}".encode())
            found.update(value.tobytes())
        elif isinstance(value, Mapping):
            for key in value:
                found.update(str(key).encode())
                add(value[key])
        elif isinstance(value, (list, tuple)):
            for item in value:
                add(item)
        elif isinstance(value, (str, bytes, int, float, complex, type(None))):
            found.update(repr(value).encode())
        else:
            raise RecipeError(
                [
                    f"inputs: found a {type(value).__name__}; expected tensors, arrays, numbers and texts, "
                    "or lists and tables of these"
                ]
            )

    add(inputs)
    return found.hexdigest()


def _path(key: str) -> str:
    """The key as the space has it: settings of pruning by their place in a recipe."""
    rest = key.removeprefix("prune.")
    first = rest.partition(".")[0]
    ours = first in Prune.model_fields and first not in ALIEN["prune"]
    return f"prune.{rest}" if ours else key


def _alien(sections: Mapping[str, Mapping[str, Any] | None]) -> Iterable[str]:
    for section, keys in ALIEN.items():
        for key in keys:
            if key in (sections[section] or {}):
                yield f"{section}.{key}: is of no use in a study, whose loop is your own"


def _own(key: str, value: Any) -> Dimension:
    """One of the loop's own settings."""
    try:
        domain = Recipe.model_validate({"space": {key: value}}).space[key]
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RecipeError([f"space.{key}: found {value!r}; {said}"]) from None
    if not isinstance(domain, tuple):
        return Dimension(key, Range(domain.low, domain.high, domain.log, domain.integer))
    if not all(map(_is_plain, domain)):
        raise RecipeError([f"space.{key}: found {value!r}; expected {ANYTHING_ELSE}"])
    if len({key_of({"": item}) for item in domain}) < len(domain):
        raise RecipeError([f"space.{key}: the list names a value twice"])
    return Dimension(key, Values(domain))


def _is_plain(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _middle(item: Dimension) -> Any:
    return item.domain.at(0.5) if isinstance(item.domain, Range) else item.domain.values[0]


def _domain(item: Dimension) -> Any:
    domain = item.domain
    if isinstance(domain, Values):
        return list(domain.values)
    return {"low": domain.low, "high": domain.high, "log": domain.log}


def own_part(configuration: Configuration) -> dict[str, Any]:
    """The loop's own settings of a configuration."""
    return {key: value for key, value in configuration.items() if not key.startswith("prune.")}


def prune_part(configuration: Configuration) -> dict[str, Any]:
    """The settings of pruning of a configuration."""
    return {key: value for key, value in configuration.items() if key.startswith("prune.")}
