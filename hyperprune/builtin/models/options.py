"""Types of the options that models have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Size = Annotated[int, Field(ge=1)]
OptionalSize = Annotated[int, Field(ge=0)]
Sizes = Annotated[list[Size], Field(min_length=1)]
"""A width for each layer, bottom first."""
Dropout = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
