"""JSON Schema of recipes, for editors: every key, and every plugin's name with its options."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hyperprune.plugins import Contribution, registry
from hyperprune.recipe.records import CHOICES, PLUGIN_SECTIONS, Recipe
from hyperprune.recipe.space import settings

Keep = Callable[[Contribution], bool]
DRAFT = "http://json-schema.org/draft-07/schema#"  # what TOML editors read
RANGE = {
    "type": "object",
    "required": ["low", "high"],
    "properties": {
        "low": {"type": "number"},
        "high": {"type": "number"},
        "log": {"type": "boolean", "default": False},
    },
    "additionalProperties": False,
}

ARMS = {
    "type": "array",
    "description": "Methods to compare: each a name, and keys of prune, train and model.",
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}},
        "additionalProperties": True,
    },
}


def recipe_schema(keep: Keep = lambda contribution: True) -> dict[str, Any]:
    """Schema of a recipe with all that is registered, or only with what `keep` accepts."""
    whole = Recipe.model_json_schema()
    records = whole.pop("$defs")
    sections: dict[str, Any] = {}
    for name, field in Recipe.model_fields.items():
        record = records.get(getattr(field.annotation, "__name__", ""))
        sections[name] = copy.deepcopy(record or whole["properties"][name])
        if record:
            sections[name]["additionalProperties"] = False
    for section, kinds in CHOICES.items():
        for kind in kinds:
            keys = sections[section]["properties"]
            keys[kind] = {**_choice(kind, keep), "default": keys[kind]["default"]["name"]}
    for section, (key, kind) in PLUGIN_SECTIONS.items():
        sections[section] = _plugin_section(sections[section], key, kind, keep)
    sections["prune"]["properties"]["preset"] = {
        "enum": [item.name for item in _of_kind("preset", keep)],
        "description": "a named method that fills in the controls",
    }
    sections["space"] = _space(keep)
    sections["arms"] = copy.deepcopy(ARMS)
    seeds = sections["seeds"]
    sections["seeds"] = {
        "description": seeds["description"] + "; or how many, from `seed` on",
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 999}, {**seeds, "description": ""}],
    }
    for section in sections.values():
        _tidy(section)
    return {
        "$schema": DRAFT,
        "title": "hyperprune recipe",
        "description": (Recipe.__doc__ or "").strip(),
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
    }


def _of_kind(kind: str, keep: Keep) -> list[Contribution]:
    return [item for item in registry().of_kind(kind) if keep(item)]


def _options(item: Contribution) -> dict[str, Any]:
    # What is handed out is tidied in place; what a plugin offers stays as it is.
    return {parameter.name: copy.deepcopy(dict(parameter.schema)) for parameter in item.parameters}


def _choice(kind: str, keep: Keep) -> dict[str, Any]:
    """A name alone, or a table of a name with its own options."""
    found = _of_kind(kind, keep)
    tables = [
        {
            "type": "object",
            "description": item.help,
            "required": ["name"],
            "properties": {"name": {"const": item.name}, **_options(item)},
            "additionalProperties": False,
        }
        for item in found
    ]
    names = [{"const": item.name, "description": item.help} for item in found]
    return {"anyOf": [*names, *tables]}


def _plugin_section(section: dict[str, Any], key: str, kind: str, keep: Keep) -> dict[str, Any]:
    """A section whose further keys belong to the plugin that it names."""
    keys = {name: item for name, item in section["properties"].items() if name != "options"}
    found = _of_kind(kind, keep)
    names = {"enum": [item.name for item in found], "default": keys[key]["default"]}
    variants = []
    for item in found:
        chosen = {"properties": {key: {"const": item.name}}}
        if item.name != names["default"]:
            chosen["required"] = [key]  # type: ignore[assignment]
        own = dict.fromkeys(keys, True) | _options(item)
        then = {"properties": own, "additionalProperties": False}
        variants.append({"if": chosen, "then": then})
    return {
        "type": "object",
        "description": section.get("description", ""),
        "properties": {**keys, key: {**keys[key], **names}},
        "allOf": variants,
    }


def _space(keep: Keep) -> dict[str, Any]:
    """Known settings by full path and by their last part; each fixed, listed or a range."""
    chosen = {
        f"prune.{kind}": tuple(item.name for item in _of_kind(kind, keep))
        for kind in CHOICES["prune"]
    }
    domain = {"anyOf": [{"type": ["string", "number", "boolean"]}, {"type": "array"}, RANGE]}
    paths = list(settings(Recipe(), chosen))
    ends = [path.rpartition(".")[2] for path in paths]
    unique = [end for end in ends if ends.count(end) == 1]
    return {
        "type": "object",
        "description": "What may vary: a value, a list, or { low, high, log }, by dotted key.",
        "properties": dict.fromkeys(sorted({*paths, *unique}), domain),
        # Options of plugins that this schema does not know, and tables in tables.
        "additionalProperties": True,
    }


def _tidy(node: Any) -> None:
    """Drop the titles that repeat a key, and the null that TOML does not have."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    elif isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if node.get("default", 0) is None:
            del node["default"]
        parts = node.get("anyOf")
        if isinstance(parts, list) and {"type": "null"} in parts:
            parts.remove({"type": "null"})
            if len(parts) == 1:
                node.update(parts[0])
                del node["anyOf"]
        for item in node.values():
            _tidy(item)
