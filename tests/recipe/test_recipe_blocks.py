"""Blocks in a recipe: spellings, the space, and sparsities that n of m cannot have."""

from __future__ import annotations

import pytest

from hyperprune.errors import RecipeError
from hyperprune.recipe import apply, load_recipe, space_of
from hyperprune.training.build import build_trainer, load_task


def quick(*overrides: str):
    return load_recipe("quickstart", overrides)


@pytest.mark.parametrize(
    ("said", "name"),
    [("[8, 4]", "8x4"), ('"8x4"', "8x4"), ("[1, 1]", "none"), ('"units"', "units")],
)
def test_a_block_has_one_spelling(said, name):
    assert quick(f"prune.block={said}").prune.block == name


def test_blocks_stand_in_the_space_and_reach_the_engine():
    recipe = quick('space.block=["none", [8, 4]]')
    (domain,) = [d.domain for d in space_of(recipe).dimensions if d.path == "prune.block"]
    assert domain.values == ("none", "8x4")
    own = apply(recipe, {"prune.block": "8x4"})
    sparse = build_trainer(own, load_task(own), sparse=True).sparse
    blocks = sum(t.places for t in sparse._tensors)
    assert sum(t.placed for t in sparse._tensors) == round((1 - 0.67) * blocks)
    assert all(t.grid is not None for t in sparse._tensors)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["prune.block=[0, 4]"], r"prune\.block: found \[0, 4\]; a block is \[rows, columns\]"),
        (['prune.block="2:4"'], r"prune\.sparsity: found 0\.67; block '2:4' has sparsity 0\.5"),
        (['space.block=["2:4"]'], "block '2:4' has sparsity 0.5"),
        (['space.block=["2:4"]', "space.sparsity=[0.5, 0.6]"], "prune.sparsity cannot vary"),
    ],
)
def test_what_cannot_be_is_said(overrides, said):
    with pytest.raises(RecipeError, match=said):
        quick(*overrides)
