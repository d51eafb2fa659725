"""What is wrong with a recipe, in words: found, expected, and nothing a terminal would obey."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from hyperprune.errors import nearest
from hyperprune.plugins.parameters import Schemas, describe_schema
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.section import STRICT, Choice

LONGEST = 400  # characters of one message: hostile input is not echoed at length


@dataclass(frozen=True)
class Problem:
    """A mistake at a dotted key; it is moot where one of the `also` keys is wrong by itself."""

    path: str
    message: str
    also: tuple[str, ...] = ()


def printable(text: str) -> str:
    """Escape all that is not printable, so that input cannot move a cursor or hide text."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= LONGEST else safe[: LONGEST - 1] + "…"


def show(value: object) -> str:
    """A value as found, shortened."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    short.maxlevel = 3
    return short.repr(value)


def adapter(field: FieldInfo) -> TypeAdapter[Any]:
    """Validator of one field's type and range, as strict as the record that holds it."""
    kind: Any = field.annotation
    for item in field.metadata:
        kind = Annotated[kind, item]
    return TypeAdapter(kind, config={**STRICT, "arbitrary_types_allowed": True})


def expected(field: FieldInfo) -> str:
    """Type and range of a field in words."""
    if field.annotation is Choice:
        return "a name, or a table { name = …, option = … }"
    schema = adapter(field).json_schema(schema_generator=Schemas)
    parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    return " or ".join(describe_schema(part) for part in parts)


def read(field: FieldInfo, value: object) -> Any:
    """Value as the field takes it; raises ValueError that says what would be right."""
    try:
        return adapter(field).validate_python(value)
    except ValidationError:
        raise ValueError(f"found {show(value)}; expected {expected(field)}") from None


def record_problems(error: ValidationError, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Turn pydantic's errors about a recipe into one problem a key; a list's items are its key's."""
    grouped: dict[tuple[str, ...], list[Any]] = {}
    for item in error.errors():
        names = takewhile(lambda part: isinstance(part, str), item["loc"][:2])
        grouped.setdefault(tuple(map(str, names)), []).append(item)
    for where, items in grouped.items():
        yield Problem(".".join(where), _explain(where, items, document))


def _explain(where: tuple[str, ...], items: list[Any], document: Mapping[str, Any]) -> str:
    section: type[BaseModel] = Recipe
    value: Any = document
    for depth, part in enumerate(where):
        fields = section.model_fields
        value = value[part]
        if where[0] == "space":
            continue
        if part not in fields:
            what = "key" if depth else "section"
            known = nearest(part, fields) or f"; known: {', '.join(fields)}"
            return f"unknown {what}{known}"
        kind = fields[part].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Choice:
            section = kind
    for item in items:
        if item["type"] == "value_error":
            return f"found {show(value)}; {item['msg'].removeprefix('Value error, ')}"
    if len(where) == 1 and (where[0] == "space" or section is not Recipe):
        return f"found {show(value)}; expected a table [{where[0]}]"
    return f"found {show(value)}; expected {expected(fields[where[-1]])}"
