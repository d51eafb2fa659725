"""Tensors that a recipe's controls name, against those of its network, before anything trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from hyperprune.errors import PluginError, RecipeError, SparsityError
from hyperprune.model import Features
from hyperprune.recipe import apply, default_configuration
from hyperprune.recipe.records import Recipe
from hyperprune.search.space import Range, Space, Values
from hyperprune.sparsity import check_tensors
from hyperprune.training.build import build_model

CONTROLS = ("prune.block", "prune.exclude", "prune.sparsity", "prune.unscaled")
"""Settings that hold for some networks and not for others."""


def check_controls(recipe: Recipe, space: Space, size: int | Features, network: nn.Module) -> None:
    """Raise RecipeError where a candidate's network has not the tensors that its controls speak of.

    Or where its sparsity would empty one of them.

    Looks at the recipe's own settings, at each value that the space has for one of them, and at every arm.
    Where the space varies the architecture, its values wait for the candidate whose network they meet, and
    the recipe's own settings count where they are a candidate's. `network`: the recipe's own; it stays as
    it is.
    """
    for where, settings in _ways(recipe, space):
        own = apply(recipe, settings)
        prune, other = own.prune, any(_of_model(path) for path in settings)
        model = build_model(own, size, torch.device("cpu")) if other else network
        try:
            check_tensors(
                model,
                exclude=prune.exclude,
                unscaled=prune.unscaled,
                block=prune.block,
                density=None if prune.budgeted else 1 - prune.sparsity,
            )
        except (PluginError, SparsityError) as error:
            raise RecipeError([f"{where}: {error}"]) from error


def _ways(recipe: Recipe, space: Space) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where settings were said, and what they are beside the recipe's own."""
    if recipe.arms:
        seen: list[Mapping[str, Any]] = []
        for arm in recipe.arms:
            own = {
                path: value
                for path, value in arm.settings.items()
                if path in CONTROLS or _of_model(path)
            }
            if own not in seen:
                seen.append(own)
                yield f"arms: {arm.name!r}", own
        return
    if any(_shapes(item.path, item.domain) for item in space.dimensions):
        if default_configuration(recipe) is not None:
            yield "prune", {}
        return
    varied = {
        item.path: item.domain.values
        for item in space.dimensions
        if item.path in CONTROLS and isinstance(item.domain, Values)
    }
    if not varied:
        yield "prune", {}
    for path, values in varied.items():
        for value in values:
            yield f"space.{path}", {path: value}


def _of_model(path: str) -> bool:
    """Whether a setting is the architecture's."""
    return path.partition(".")[0] == "model"


def _shapes(path: str, domain: Values | Range) -> bool:
    """Whether a dimension may change what tensors a network has: all of a model's, but real numbers."""
    return _of_model(path) and not (isinstance(domain, Range) and not domain.integer)
