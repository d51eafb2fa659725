"""A recipe as TOML again: resolved, complete, and read back to the same record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hyperprune.recipe.domain import Range
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.section import Choice, PluginSection, Section


def dumps(recipe: Recipe) -> str:
    """Write a recipe as TOML, every setting named; `loads` gives the same recipe back."""
    lines = [f"title = {inline(recipe.title)}", f"seed = {recipe.seed}"]
    said = recipe.model_dump()
    if recipe.seeds:
        lines.append(f"seeds = {inline(recipe.seeds)}")
    if recipe.plugins:
        lines.append(f"plugins = {inline(recipe.plugins)}")
    for name in Recipe.model_fields:
        if name not in said:
            continue
        section = getattr(recipe, name)
        if isinstance(section, (Section, Mapping)):
            lines += ["", f"[{name}]"]
            lines += [f"{key(k)} = {inline(v)}" for k, v in _entries(section) if v is not None]
    for arm in recipe.arms:
        lines += ["", "[[arms]]", f"name = {inline(arm.name)}"]
        lines += [f"{key(path)} = {inline(value)}" for path, value in arm.settings.items()]
    return "\n".join(lines) + "\n"


def _entries(section: Section | Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(section, Mapping):
        for name, domain in section.items():
            yield name, domain.model_dump() if isinstance(domain, Range) else list(domain)
        return
    for name in type(section).model_fields:
        value = getattr(section, name)
        if name == "options" and isinstance(section, PluginSection):
            yield from value.items()
        else:
            yield name, value.plain if isinstance(value, Choice) else value


def key(name: str) -> str:
    """Write a key bare where TOML allows it, else quoted."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else inline(name)


def inline(value: Any) -> str:
    """Write a value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        pairs = [f"{key(k)} = {inline(v)}" for k, v in value.items() if v is not None]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} has no place in a recipe")
