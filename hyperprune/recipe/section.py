"""What every section of a recipe is made of: strict records, and plugins with their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Section(BaseModel):
    """Unknown keys are errors, types are exact (an integer may stand for a number)."""

    model_config = STRICT


class Choice(Section):
    """A plugin by name with its options: `"mest"` or `{ name = "mest", gamma = 0.5 }`."""

    name: str
    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and "options" not in value:
            options = {key: item for key, item in value.items() if key != "name"}
            return {"name": value.get("name"), "options": options}
        return value

    @property
    def plain(self) -> str | dict[str, Any]:
        """The shortest form a recipe would use."""
        return {"name": self.name, **self.options} if self.options else self.name


class PluginSection(Section):
    """A section named after one plugin; keys that the section does not know are its options."""

    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or "options" in value:
            return value
        own = {key: item for key, item in value.items() if key in cls.model_fields}
        return {**own, "options": {key: item for key, item in value.items() if key not in own}}
