"""The small recipes: each is its published one in little, and carries a whole search to a winner."""

import math
import os

import pytest

import hyperprune
from hyperprune.recipe import load_recipe, shipped_recipes

SMALL = [
    name
    for name in shipped_recipes()
    if name.startswith("small/") and name.removeprefix("small/") in shipped_recipes()
]
"""Those that are a published setting in little."""


@pytest.mark.parametrize("name", SMALL)
def test_it_shrinks_the_published_recipe_of_its_name(name):
    small, full = load_recipe(name), load_recipe(name.removeprefix("small/"))
    assert small.data.corpus == full.data.corpus
    assert small.model.name == full.model.name
    assert small.train.optimizer == full.train.optimizer
    assert small.prune.sparsity == full.prune.sparsity
    assert small.train.epochs < full.train.epochs


def test_every_published_setting_has_a_small_one():
    assert {f"small/{name}" for name in shipped_recipes() if "/" not in name} >= set(SMALL)
    assert len(SMALL) == 4


@pytest.mark.slow
@pytest.mark.corpus
@pytest.mark.parametrize("name", SMALL)
def test_it_runs_to_a_winner(name, tmp_path):
    if not os.environ.get("HYPERPRUNE_DATA"):
        pytest.skip("HYPERPRUNE_DATA is not set")
    result = hyperprune.run(name, folder=tmp_path / "run")
    assert result.winner
    assert math.isfinite(result.test_perplexity)
    assert all(c.state != "failed" for c in result.candidates)
