"""What a sparse training is set to: what is said, else what a preset says, else the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperprune.errors import SparsityError
from hyperprune.plugins import registry
from hyperprune.plugins.defaults import SPARSE
from hyperprune.sparsity.blocks import check_block
from hyperprune.sparsity.scale import check_scale

REGROWN = ("keep", "reset")
"""What becomes of a weight that one update removes and grows again: it keeps its value and state, as
in RigL's and SNFS's own code, or starts afresh at 0."""


def settled(preset: str | None, said: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of `said`, those that are None filled in; raises SparsityError or PluginError."""
    found = {**SPARSE, **(_of_preset(preset, said) if preset is not None else {})}
    settings = {key: found.get(key) if value is None else value for key, value in said.items()}
    if settings["regrown"] not in REGROWN:
        raise SparsityError(f"found regrown {settings['regrown']!r}; expected one of {REGROWN}")
    check_scale(str(settings["init_scale"]))
    settings["block"] = check_block(settings["block"])
    return settings


def _of_preset(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's `[prune]` keys as arguments: `update` is `every`, sparsities are densities."""
    keys = dict(registry().bind("preset", name)())
    keys.pop("sparsity", None)
    if keys.get("initial_sparsity") is not None:
        keys["initial_density"] = 1.0 - keys.pop("initial_sparsity")
    every = keys.pop("update", None)
    if isinstance(every, int):
        if said["every"] is None and said["total_steps"] is None:
            raise SparsityError(
                f"preset {name!r} changes the topology every {every} steps of a known number: give "
                "total_steps, the full training's"
            )
        keys["every"] = every
    odd = keys.keys() - said.keys()
    if odd:
        raise SparsityError(f"preset {name!r} sets {', '.join(sorted(odd))}, unknown here")
    return keys
