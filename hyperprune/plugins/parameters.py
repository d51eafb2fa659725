"""What a user may set on a plugin's callable, read from its keyword-only parameters."""

from __future__ import annotations

import functools
import inspect
import json
import operator
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Strict, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError

from hyperprune.errors import nearest


class Schemas(GenerateJsonSchema):
    """JSON Schema of what plugins take: what it has no word for is anything at all, without a warning."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """Leave a type such as a callable open: a network's own, which only its default can say."""
        return {}

    def encode_default(self, dft: Any) -> Any:
        """Leave out infinity and nan too, which JSON does not have."""
        found = super().encode_default(dft)
        try:
            json.dumps(found, allow_nan=False)
        except ValueError as error:
            raise PydanticSerializationError(str(error)) from None
        return found


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
        fields[name] = (from_lists(annotation), default)
    config = ConfigDict(
        extra="forbid",
        strict=True,
        arbitrary_types_allowed=True,
        ser_json_inf_nan="constants",
    )
    return create_model(getattr(target, "__name__", "options"), __config__=config, **fields)


def from_lists(annotation: Any) -> Any:
    """The annotation with tuples that are taken from lists too: a recipe has no other way to say one."""
    origin: Any = typing.get_origin(annotation)
    parts = typing.get_args(annotation)
    own = tuple(map(from_lists, parts))
    kind: Any = annotation
    if origin in (tuple, list) and parts:
        kind = origin[own]
    elif origin in (typing.Union, types.UnionType) and own != parts:
        kind = functools.reduce(operator.or_, own)
    elif origin is typing.Annotated:
        kind = own[0]
        for item in own[1:]:
            kind = typing.Annotated[kind, item]
    return typing.Annotated[kind, Strict(False)] if tuple in (origin, annotation) else kind


def parameters_of(target: Callable[..., Any]) -> tuple[Parameter, ...]:
    """List the keyword-only parameters of a callable."""
    model = options_model(target)
    schemas = model.model_json_schema(schema_generator=Schemas).get("properties", {})
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
