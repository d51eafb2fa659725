"""Presets: a name that fills in keys, under those that the recipe itself writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hyperprune.errors import PluginError
from hyperprune.plugins import registry
from hyperprune.plugins.defaults import SEARCH_PRESETS
from hyperprune.recipe.problems import Problem

Keys = Mapping[str, Mapping[str, Any]]
"""Section to key to value."""


def expand_presets(document: dict[str, Any], overridden: set[str]) -> Iterator[Problem]:
    """Fill in what presets say, in place; `overridden` are the paths given by `--set`."""
    for section in ("prune", "search"):
        given = document.get(section)
        name = given.get("preset") if isinstance(given, dict) else None
        if not isinstance(name, str):
            continue
        try:
            _fill(document, _keys(section, name), f"{section}.preset" in overridden, overridden)
        except PluginError as error:
            yield Problem(f"{section}.preset", str(error))


def _keys(section: str, name: str) -> Keys:
    """What a preset says; none for an unknown name of a search's, which the record's check tells."""
    if section == "search":
        return SEARCH_PRESETS.get(name, {})
    return {"prune": preset_keys(name)}


def preset_keys(name: str) -> Mapping[str, Any]:
    """Keys of `[prune]` that a preset sets; raises PluginError."""
    item = registry().get("preset", name)
    answer = item.bind({})()
    if not (isinstance(answer, Mapping) and all(isinstance(key, str) for key in answer)):
        raise PluginError(
            f"preset {name!r} of {item.package} returned {type(answer).__name__}, not keys of [prune] "
            "with their values"
        )
    return answer


def _fill(document: dict[str, Any], keys: Keys, strong: bool, overridden: set[str]) -> None:
    """Under the file's own keys, or over them where the preset came by `--set`, never over another."""
    for section, values in keys.items():
        own = document.setdefault(section, {})
        if not isinstance(own, dict):
            continue
        for key, value in values.items():
            path = f"{section}.{key}"
            if key not in own or (strong and not any(reaches(o, path) for o in overridden)):
                own[key] = value


def reaches(outer: str, inner: str) -> bool:
    """Whether one key is the other or lies within it."""
    return outer == inner or inner.startswith(f"{outer}.") or outer.startswith(f"{inner}.")
