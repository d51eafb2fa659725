"""The door of a run: what a recipe means is found out once, and handed on."""

import sys
from collections import Counter

import pytest

import hyperprune
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import RecipeError
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


def test_a_text_that_changed_since_the_last_run_is_read_anew(tmp_path):
    text = tiny_text(tmp_path / "text")
    recipe = tiny_recipe(text)
    before = settle(recipe)
    path = text / "train.txt"
    path.write_text("unheard " + path.read_text())
    after = settle(recipe)
    assert "unheard" not in before.corpus.vocabulary
    assert "unheard" in after.corpus.vocabulary
    assert load_corpus(recipe.data) is after.corpus  # as the run's own trainings have it


def test_a_network_without_units_to_give_is_refused_before_anything_trains(tmp_path):
    settings = ["prune.block=units", 'model={name="slstm", hidden=8, heads=2, expansion=0, conv=0}']
    recipe = tiny_recipe(tiny_text(tmp_path / "text"), *settings)
    with pytest.raises(RecipeError, match=r"prune: .*no unit of this network can go"):
        hyperprune.run(recipe, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('prune.exclude=["decodr.*"]', "prune: exclude 'decodr.*' matches no weight (did you mean"),
        ('prune.unscaled=["decodr.*"]', "prune: unscaled 'decodr.*' matches no weight"),
        ('space.exclude=[[], ["decodr.*"]]', "space.prune.exclude: exclude 'decodr.*' matches"),
        ('space.unscaled=[[], ["decodr.*"]]', "space.prune.unscaled: unscaled 'decodr.*' matches"),
        ('arms=[{name="odd", prune={exclude=["x"]}}]', "arms: 'odd removal_rate=0.3': exclude 'x'"),
    ],
)
def test_tensors_that_the_network_has_not_are_refused_before_anything_trains(
    tmp_path, setting, said
):
    recipe = tiny_recipe(tiny_text(tmp_path / "text"), setting)
    with pytest.raises(RecipeError) as refused:
        hyperprune.run(recipe, folder=tmp_path / "run")
    assert said in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["prune.sparsity=0.9999"], "prune: the density leaves 0 active weights for"),
        (["space.sparsity=[0.5, 0.9999]"], "space.prune.sparsity: the density leaves 0 active"),
        (["arms=[{name='odd', prune={sparsity=0.9999}}]"], "arms: 'odd"),
    ],
)
def test_a_sparsity_that_would_empty_a_tensor_is_refused_before_anything_trains(
    tmp_path, settings, said
):
    recipe = tiny_recipe(tiny_text(tmp_path / "text"), *settings)
    with pytest.raises(RecipeError, match="since none may be emptied") as refused:
        hyperprune.run(recipe, folder=tmp_path / "run")
    assert said in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_tensors_may_be_named_that_only_some_networks_of_a_space_have(tmp_path):
    named = "space.exclude=[[], ['*_l1']]"
    text = tiny_text(tmp_path / "text")
    with pytest.raises(RecipeError, match="matches no weight"):
        settle(tiny_recipe(text, named))
    settle(tiny_recipe(text, named, "space.model.layers=[1, 2]"))
    # a rate of dropout makes no other tensors
    with pytest.raises(RecipeError, match="matches no weight"):
        settle(tiny_recipe(text, named, "space.model.dropout={low=0.0, high=0.5}"))


@pytest.mark.parametrize(
    ("settings", "rhythms"),
    [
        (["prune.update=5"], []),
        (["prune.update=100000"], ["every 100,000 steps"]),
        (["prune.update=never", "prune.stop=0"], []),
        (["prune.stop=0"], ["every 4 steps"]),
        (["space.update=['never', 5, 100000]"], ["every 100,000 steps"]),
        (["arms=[{name='rare', prune={update=100000}}, {name='often'}]"], ["every 100,000 steps"]),
    ],
)
def test_updates_that_never_come_are_told_before_anything_trains(tmp_path, settings, rhythms):
    text = tiny_text(tmp_path / "text")
    fixed = ["space={growth=['random', 'gradient']}"] if "arms" in settings[0] else []
    notices = settle(tiny_recipe(text, *fixed, *settings)).notices
    assert len(notices) == len(rhythms)
    for rhythm, notice in zip(rhythms, notices, strict=True):
        assert f"the topology never changes where prune.update is {rhythm}: " in notice


def test_units_and_a_precision_that_is_settled_here_go_together(tmp_path):
    text = tiny_text(tmp_path / "text")
    settled = settle(tiny_recipe(text, "prune.block=units", "train.precision=auto"))
    assert settled.recipe.train.precision in ("float32", "bfloat16")
