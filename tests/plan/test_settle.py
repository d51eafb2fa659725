"""The door of a run: what a recipe means is found out once, and handed on."""

import sys
from collections import Counter

import pytest

import hyperprune
from hyperprune.errors import PluginError
from hyperprune.pipeline.run import begin
from hyperprune.plan.settle import settle
from hyperprune.testing.tiny import tiny_recipe, tiny_text

ONCE = ("load_corpus", "load_task", "space_of", "make_plan", "resources", "run_bytes")


@pytest.fixture
def callers(monkeypatch):
    """Who called each function that turns a recipe into something, with how often."""
    seen = {name: Counter() for name in ONCE}

    def watched(name, function):
        def call(*args, **options):
            module = sys._getframe(1).f_globals["__name__"]
            seen[name][module.removeprefix("hyperprune.")] += 1
            return function(*args, **options)

        return call

    for name in ONCE:
        for room, module in list(sys.modules.items()):
            function = vars(module).get(name) if room.startswith("hyperprune") else None
            if callable(function):
                monkeypatch.setattr(module, name, watched(name, function))
    return seen


def test_a_recipe_is_settled_once(tmp_path, callers):
    # A job has nothing but its recipe, since it may be carried out on another machine: it asks for its
    # task there, which asks for its text. Nobody else on the way of a run turns the recipe into anything.
    settled = settle(tiny_recipe(tiny_text(tmp_path / "text")))
    begin(settled, folder=tmp_path / "run")
    jobs = callers["load_task"].pop("execution.worker")
    assert callers["load_corpus"].pop("training.build") == jobs > 1
    assert callers["space_of"].pop("recipe.space") == 1  # the recipe's own configuration, within it
    assert callers == {name: {"plan.settle": 1} for name in ONCE}


def test_a_network_without_units_to_give_is_refused_before_anything_trains(tmp_path):
    settings = ["prune.block=units", 'model={name="slstm", hidden=8, heads=2, expansion=0, conv=0}']
    recipe = tiny_recipe(tiny_text(tmp_path / "text"), *settings)
    with pytest.raises(PluginError, match="no unit of this network can go"):
        hyperprune.run(recipe, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_units_and_a_precision_that_is_settled_here_go_together(tmp_path):
    text = tiny_text(tmp_path / "text")
    settled = settle(tiny_recipe(text, "prune.block=units", "train.precision=auto"))
    assert settled.recipe.train.precision in ("float32", "bfloat16")
