"""Packages that hyperprune has heard of, installed or not."""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import Any


@functools.cache
def known_packages() -> dict[str, dict[str, Any]]:
    """Packages that hyperprune has heard of: `{package: {"about": …, "provides": {kind: [name]}}}`."""
    text = resources.files("hyperprune.plugins").joinpath("known_plugins.json").read_text("utf-8")
    known: dict[str, dict[str, Any]] = json.loads(text)
    return known


def normal(package: str) -> str:
    """A package's name as indexes compare it: `Hyperprune_MGU` is `hyperprune-mgu`."""
    return re.sub(r"[-_.]+", "-", package).lower()


def providers(kind: str, name: str) -> list[str]:
    """Known packages that have a kind of thing by name, installed or not."""
    return [
        package
        for package, entry in known_packages().items()
        if name in entry["provides"].get(kind, ())
    ]
