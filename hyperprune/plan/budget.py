"""The networks of a budget, settled at the door: how wide a dense one may be, how sparse the others are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from hyperprune.errors import HyperpruneError, PluginError, RecipeError, SparsityError, nearest
from hyperprune.model import Features, parameter_count
from hyperprune.plugins import registry
from hyperprune.recipe import apply, default_configuration
from hyperprune.recipe.records import Arm, Recipe
from hyperprune.search.space import Configuration, Range, Space, Values
from hyperprune.training.budget import dense_size, density_within, limit, said
from hyperprune.training.build import build_model

WIDEST = 2**17
STEPS = 64
"""Widths below one that cannot be built in which one that can is looked for, as where chunks must fit."""
MOST = 16
"""Dense networks beside the reference."""


def within_budget(recipe: Recipe, size: int | Features) -> tuple[Recipe, tuple[str, ...]]:
    """A recipe whose dense reference keeps to its budget, and what was settled in words.

    The reference, and an arm that says another network, is as wide as is dense within the budget where it
    says no width. Raises RecipeError for a reference that is too wide, and for networks that cannot be
    pruned so far.
    """
    if not recipe.prune.budgeted:
        return recipe, ()
    path = f"model.{recipe.prune.width}"
    _check_width(recipe)
    notices: list[str] = []
    if recipe.prune.width in recipe.model.options:
        notices += _of_reference(recipe, size)
    else:
        own = widest(recipe, size)
        recipe = _with_width(recipe, own)
        notices.append(f"{path} is {own}: the widest dense network of {said(recipe.prune)}")
    arms = []
    for arm in recipe.arms:
        settings = dict(arm.settings)
        other = any(key.partition(".")[0] == "model" for key in settings)
        if other and path not in settings and recipe.prune.width not in settings.get("model", {}):
            settings[path] = widest(apply(recipe, settings), size)
        arms.append(Arm(name=arm.name, settings=settings))
        notices.append(_of_arm(arm.name, apply(recipe, settings), size))
    return recipe.model_copy(update={"arms": tuple(arms)}), tuple(notices)


def _of_arm(name: str, recipe: Recipe, size: int | Features) -> str:
    """What network an arm has; raises RecipeError where it cannot be pruned so far."""
    try:
        model = built(recipe, size)
        sparsity = 1 - (density_within(model, recipe.prune) or 0.0)
    except (PluginError, SparsityError) as error:
        raise RecipeError([f"arms: {name!r}: {error}"]) from error
    width = f"{recipe.prune.width} {recipe.model.options.get(recipe.prune.width, 'unsaid')}"
    kept = f"sparsity {sparsity:.4f}" if sparsity else "dense"
    return f"arm {name!r}: {width}, {parameter_count(model):,} weights, {kept}"


def dense_configurations(
    recipe: Recipe, space: Space, size: int | Features
) -> Iterator[Configuration]:
    """The widest dense network of every shape that a space lists, but the dense reference's own.

    A shape is what it lists of the model beside the width; where its widths leave the widest out, there
    is none.
    """
    path = f"model.{recipe.prune.width}"
    shapes: dict[str, tuple[Any, ...]] = {
        item.path: item.domain.values
        for item in space.dimensions
        if item.path.startswith("model.") and item.path != path and isinstance(item.domain, Values)
    }
    rest = {key: domain for key, domain in recipe.space.items() if not key.startswith("model.")}
    others = default_configuration(recipe.model_copy(update={"space": rest}))
    own = default_configuration(
        recipe.model_copy(update={"space": {key: recipe.space[key] for key in shapes}})
    )
    for values in itertools.islice(itertools.product(*shapes.values()), MOST):
        shape = dict(zip(shapes, values, strict=True))
        if others is None or shape == own:
            continue
        found = {**others, **shape, path: widest(apply(recipe, shape), size)}
        if space.contains(found):
            yield found


def largest_network(recipe: Recipe, space: Space, size: int | Features) -> nn.Module:
    """The largest network that a budget's candidates have; raises RecipeError where it cannot be."""
    corners: list[Mapping[str, Any]] = [arm.settings for arm in recipe.arms]
    if not corners:
        ends = {
            item.path: _ends(item.domain)
            for item in space.dimensions
            if item.path.startswith("model.")
        }
        products = itertools.islice(itertools.product(*ends.values()), MOST)
        corners = [dict(zip(ends, values, strict=True)) for values in products]
    networks = [(settings, built(apply(recipe, settings), size)) for settings in corners]
    settings, model = max(networks, key=lambda item: parameter_count(item[1]))
    try:
        density_within(model, apply(recipe, settings).prune)
    except SparsityError as error:
        named = ", ".join(f"{key} = {value}" for key, value in settings.items())
        raise RecipeError([f"prune.active: {named}: {error}"]) from error
    return model


def _ends(domain: Values | Range) -> tuple[Any, ...]:
    """The largest value of a domain; all where they are no numbers."""
    if isinstance(domain, Range):
        return (domain.high,)
    numbers = all(isinstance(v, (int, float)) for v in domain.values)
    return (max(domain.values),) if numbers else domain.values


def widest(recipe: Recipe, size: int | Features) -> int:
    """The largest width whose dense network is within the budget; raises RecipeError where none is."""
    why: list[HyperpruneError] = []

    def buildable(width: int) -> tuple[int, int] | None:
        """The nearest width at or below that can be built, and what its dense network takes."""
        for own in range(width, max(0, width - STEPS), -1):
            try:
                return own, dense_size(built(_with_width(recipe, own), size), recipe.prune)
            except PluginError as error:
                why[:] = [error]
        return None

    def fits(width: int) -> bool:
        found = buildable(width)
        return found is not None and found[1] <= limit(recipe.prune)

    low, high = 0, STEPS
    while high < WIDEST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    found = buildable(low) if low else None
    if found is not None:
        return found[0]
    because = f": {why[0]}" if why else ""
    raise RecipeError(
        [
            f"prune: no dense network of model {recipe.model.name!r} is within {said(recipe.prune)}, however "
            f"small its {recipe.prune.width}{because}"
        ]
    )


def built(recipe: Recipe, size: int | Features) -> nn.Module:
    """A recipe's network without memory, to be counted."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return build_model(recipe, size, torch.device("meta"))


def _with_width(recipe: Recipe, width: int) -> Recipe:
    options = {**recipe.model.options, recipe.prune.width: width}
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"options": options})})


def _check_width(recipe: Recipe) -> None:
    """Raise RecipeError where the model has no such option."""
    known = [item.name for item in registry().get("model", recipe.model.name).parameters]
    if recipe.prune.width not in known:
        raise RecipeError(
            [
                f"prune.width: model {recipe.model.name!r} has no option {recipe.prune.width!r}"
                f"{nearest(recipe.prune.width, known)}; known: {', '.join(known)}"
            ]
        )


def _of_reference(recipe: Recipe, size: int | Features) -> Iterator[str]:
    """Say so where a width that is said leaves much room; raises RecipeError where it is too wide."""
    width, most = recipe.prune.width, widest(recipe, size)
    own, found = recipe.model.options[width], dense_size(built(recipe, size), recipe.prune)
    budget = said(recipe.prune)
    if found > limit(recipe.prune):
        raise RecipeError(
            [
                f"model.{width}: found {own}, whose dense network takes {found:,}, more than {budget}; "
                f"expected at most {most}, or leave it out"
            ]
        )
    if own < most:
        yield f"model.{width} is {own}, as the recipe says; a dense network of {budget} could have {most}"
