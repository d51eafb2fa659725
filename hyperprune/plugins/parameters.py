"""What a user may set on a plugin's callable, read from its keyword-only parameters."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from hyperprune.errors import nearest


@dataclass(frozen=True)
class Parameter:
    """One keyword-only parameter: its name, annotated type, default and range (as JSON Schema)."""

    name: str
    annotation: Any
    default: Any
    required: bool
    schema: Mapping[str, Any]

    @property
    def description(self) -> str:
        """The type and range in words, such as `number, ≥ 0, < 1`."""
        return describe_schema(self.schema)


def describe_schema(schema: Mapping[str, Any]) -> str:
    """Say a JSON Schema fragment in words."""
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(describe_schema(part) for part in schema["anyOf"])
    words = [str(schema.get("type", "any"))]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words += [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return ", ".join(words)


def options_model(target: Callable[..., Any]) -> type[BaseModel]:
    """Build the validator of a callable's keyword-only parameters.

    Annotations are resolved in the callable's own module, so `from __future__ import annotations`
    is fine; names that exist only for type checkers may annotate positional parameters.
    """
    function = target.__init__ if inspect.isclass(target) else target
    namespace = {**vars(typing), **getattr(inspect.unwrap(function), "__globals__", {})}
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        annotation = parameter.annotation
        if isinstance(annotation, str):
            annotation = eval(annotation, namespace)  # the author's own source, not user input
        if annotation is inspect.Parameter.empty:
            annotation = Any
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (annotation, default)
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    return create_model(getattr(target, "__name__", "options"), __config__=config, **fields)


def parameters_of(target: Callable[..., Any]) -> tuple[Parameter, ...]:
    """List the keyword-only parameters of a callable."""
    model = options_model(target)
    schemas = model.model_json_schema().get("properties", {})
    return tuple(
        Parameter(name, field.annotation, field.default, field.is_required(), schemas[name])
        for name, field in model.model_fields.items()
    )


def takes(target: Callable[..., Any], count: int) -> bool:
    """Whether a callable can be called with so many positional arguments."""
    given = required = 0
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            given = max(given, count)
        elif parameter.kind in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            given += 1
            required += parameter.default is inspect.Parameter.empty
    return required <= count <= given


def check_options(
    target: Callable[..., Any], options: Mapping[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Validate options for a callable: (values with defaults filled in, [(key, problem), …])."""
    model = options_model(target)
    try:
        return model.model_validate(dict(options)).model_dump(), []
    except ValidationError as error:
        return {}, list(problems_of(error, options, model))


def problems_of(
    error: ValidationError, data: Mapping[str, Any], model: type[BaseModel]
) -> typing.Iterator[tuple[str, str]]:
    """Turn pydantic's errors into (dotted key, what was found and what would be right)."""
    for item in error.errors():
        path = [part for part in item["loc"] if isinstance(part, (str, int))]
        key = ".".join(str(part) for part in path)
        if item["type"] == "extra_forbidden":
            known = known_keys(model, path[:-1])
            listed = ", ".join(sorted(known)) or "none"
            hint = nearest(str(path[-1]), known) or f"; known keys: {listed}"
            yield key, f"unknown key{hint}"
        elif item["type"] == "missing":
            yield key, "is required and missing"
        else:
            message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
            yield key, f"found {item['input']!r}; {message}"


def known_keys(model: type[BaseModel], path: list[Any]) -> list[str]:
    """List the keys that a (nested) pydantic model knows at a path."""
    current: Any = model
    for part in path:
        fields = getattr(current, "model_fields", {})
        if part not in fields:
            return []
        current = fields[part].annotation
        if isinstance(current, types.UnionType):
            current = next(
                (a for a in typing.get_args(current) if hasattr(a, "model_fields")), None
            )
    return list(getattr(current, "model_fields", {}))
