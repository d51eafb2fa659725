"""Settings in tables within tables, by their dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def dotted(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Everything that is no table itself, in order: `{"a": {"b": 1}}` has `a.b`."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        path = f"{prefix}{key}"
        found |= dotted(item, f"{path}.") if isinstance(item, Mapping) else {path: item}
    return found
