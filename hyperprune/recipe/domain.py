"""What a space says of one setting: a range, a choice or a fixed value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, ValidationError, model_validator

from hyperprune.recipe.section import Section

BEYOND = 1e100
"""Largest magnitude of a range's ends: the width of a larger range would overflow a float."""


class Range(Section):
    """Every number between two bounds; `log` where ratios matter rather than differences."""

    low: float | int
    high: float | int
    log: bool = False

    @property
    def integer(self) -> bool:
        """Whether both bounds are integers, and so every value is."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low must lie below high, got {self.low} and {self.high}")
        if max(abs(self.low), abs(self.high)) > BEYOND:
            raise ValueError(f"a bound lies beyond ±{BEYOND:g}")
        if self.log and 0 < self.low < 1 / BEYOND:
            raise ValueError(f"a log range starts at {1 / BEYOND:g} or above, got {self.low}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range starts above 0, got low = {self.low}")
        return self


def _domain(value: Any) -> Any:
    """Read a space entry: a table with `low` is a range, a list is a choice, all else is fixed."""
    if isinstance(value, Range):
        return value
    if isinstance(value, Mapping) and ("low" in value or "high" in value):
        try:
            return Range.model_validate(dict(value))
        except ValidationError as error:
            own = [item["msg"] for item in error.errors() if item["type"] == "value_error"]
            expected = "a range is { low = number, high = number, log = true or false }"
            raise ValueError(own[0].removeprefix("Value error, ") if own else expected) from None
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("the list is empty; give at least one value")
        return tuple(value)
    return (value,)


Domain: TypeAlias = Annotated[Range | tuple[Any, ...], BeforeValidator(_domain)]
