"""Arms and seeds of a recipe: what they say, what stands above what, and that they are written back."""

import pytest

from hyperprune.errors import RecipeError
from hyperprune.recipe import apply, dumps, loads

BASE = "[prune]\nsparsity = 0.8\nremoval_rate = 0.6\n"


def arms_of(text, *overrides):
    recipe = loads(BASE + text, overrides=overrides)
    assert loads(dumps(recipe)) == recipe
    return {arm.name: apply(recipe, arm.settings) for arm in recipe.arms}, recipe


def problems_of(text, *overrides):
    with pytest.raises(RecipeError) as error:
        loads(BASE + text, overrides=overrides)
    return error.value.problems


def test_keys_of_an_arm_by_table_by_dots_by_quotes_and_by_their_ends():
    arms, _ = arms_of(
        "[[arms]]\nname = 'a'\nprune.sparsity = 0.9\n"
        "[[arms]]\nname = 'b'\n'prune.sparsity' = 0.9\n'train.lr' = 1.0\n"
        "[[arms]]\nname = 'c'\nsparsity = 0.9\nlr = 2\n"
        "[[arms]]\nname = 'd'\n[arms.prune]\nsparsity = 0.9\n[arms.train]\nlr = 3.0\n"
        "[[arms]]\nname = 'e'\nremoval = { name = 'mest', gamma = 0.5 }\n"
    )
    assert {name: arm.prune.sparsity for name, arm in arms.items()} == {
        **dict.fromkeys("abcd", 0.9),
        "e": 0.8,
    }
    assert [arms[name].train.lr for name in "abcd"] == [40.0, 1.0, 2, 3.0]
    assert arms["e"].prune.removal.plain == {"name": "mest", "gamma": 0.5}


def test_an_arms_preset_stands_above_the_recipes_keys_its_own_keys_above_that_and_set_between():
    text = (
        "[[arms]]\nname = 'as published'\npreset = 'rigl'\n"
        "[[arms]]\nname = 'other rate'\npreset = 'rigl'\nremoval_rate = 0.6\n"
        "[[arms]]\nname = 'common'\ngrowth = 'gradient'\n"
    )
    arms, _ = arms_of(text)
    assert [arm.prune.removal_rate for arm in arms.values()] == [0.3, 0.6, 0.6]
    assert [arm.prune.growth.name for arm in arms.values()] == ["gradient"] * 3
    arms, _ = arms_of(text, "prune.removal_rate=0.1")
    assert [arm.prune.removal_rate for arm in arms.values()] == [0.1, 0.6, 0.1]


@pytest.mark.parametrize(
    "override",
    ["prune.removal_rate=0.1", "prune.schedule.minimum=0.2", "prune.update='epoch'", "train.lr=3"],
)
def test_set_means_the_same_for_a_study_and_for_the_recipe_that_its_run_keeps(override):
    text = BASE + (
        "schedule = 'cosine'\n[[arms]]\nname = 'as published'\npreset = 'rigl'\n"
        "[[arms]]\nname = 'other'\npreset = 'rigl'\nremoval_rate = 0.6\nupdate = 50\ntrain.lr = 1.0\n"
        "[[arms]]\nname = 'slowly'\npreset = 'gradual'\n"
    )
    kept = dumps(loads(text))
    assert kept.count("initial_sparsity") == 1  # `slowly` says what its preset says
    assert loads(kept, overrides=[override]) == loads(text, overrides=[override])


def test_another_network_brings_its_own_options():
    arms, _ = arms_of(
        "[model]\nname = 'stacked_lstm'\nhidden = 8\nlayers = 2\n"
        "[[arms]]\nname = 'wide'\nmodel.hidden = 16\n"
        "[[arms]]\nname = 'highway'\nmodel = { name = 'rhn', depth = 3 }\n"
    )
    assert arms["wide"].model.options == {"hidden": 16, "layers": 2}
    assert (arms["highway"].model.name, arms["highway"].model.options) == ("rhn", {"depth": 3})


def test_with_a_space_every_arm_is_tried_at_every_configuration():
    arms, recipe = arms_of(
        "[space]\nsparsity = [0.5, 0.9]\n"
        "[[arms]]\nname = 'set'\npreset = 'set'\n[[arms]]\nname = 'rigl'\npreset = 'rigl'\n"
    )
    found = {name: (arm.prune.preset, arm.prune.sparsity) for name, arm in arms.items()}
    assert found == {
        "set sparsity=0.5": ("set", 0.5),
        "set sparsity=0.9": ("set", 0.9),
        "rigl sparsity=0.5": ("rigl", 0.5),
        "rigl sparsity=0.9": ("rigl", 0.9),
    }
    assert not recipe.space


def test_arms_of_long_values_have_names_of_their_own():
    first, second = [f"layer.{k}" for k in range(7)], [f"layer.{k}" for k in range(6)] + ["x"]
    arms, recipe = arms_of(f"[space]\nexclude = [{first}, {second}]\n[[arms]]\nname = 'a'\n")
    assert {name: list(arm.prune.exclude) for name, arm in arms.items()} == {
        f"a exclude={first}": first,
        f"a exclude={second}": second,
    }
    assert len(recipe.arms) == 2


def test_an_arm_may_bring_what_a_value_of_the_space_needs():
    arms, _ = arms_of("[space]\ninitial_sparsity = [0.0, 0.25]\n[[arms]]\nname = 'a'\nstop = 0.5\n")
    found = [(arm.prune.initial_sparsity, arm.prune.stop) for arm in arms.values()]
    assert found == [(0.0, 0.5), (0.25, 0.5)]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("seeds = 3", (1, 2, 3)), ("seed = 7\nseeds = 2", (7, 8)), ("seeds = [5, 1]", (5, 1))],
)
def test_seeds(text, seeds):
    recipe = loads(text)
    assert (recipe.seeds, recipe.seed, recipe.final.seeds) == (seeds, seeds[0], len(seeds))
    assert loads(dumps(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[arms]]\nsparsity = 0.9", "recipe:4: arms.0.name: found None; expected a name"),
        ("[[arms]]\nname = 'dense'", "recipe:5: arms.0.name: found 'dense': the dense network is an arm"),
        ("[[arms]]\nname = 'c001'", "a run calls its trainings so"),
        ("[[arms]]\nname = 'a'\n[[arms]]\nname = 'a'", "recipe:7: arms.1.name: found 'a': two arms"),
        ("[[arms]]\nname = 'a'\n[[arms]]\nname = 'b'", "'a' and 'b' are the same"),
        ("[[arms]]\nname = 'a'\nsparsty = 0.9", "sparsty: is the same for every arm"),
        ("[[arms]]\nname = 'a'\nschedule = 'constant'", "could be prune.schedule or train.schedule"),
        ("[[arms]]\nname = 'a'\nprune.sparsty = 0.9", "recipe:6: arms.0.prune.sparsty: unknown key"),
        ("[[arms]]\nname = 'a'\nprune.sparsity = 2", "(arm 'a')"),
        ("[[arms]]\nname = 'a'\npreset = 'ringl'", "did you mean 'rigl'?"),
        ("[[arms]]\nname = 'a'\ntrain.epochs = 2", "is the same for every arm"),
        ("[[arms]]\nname = 'a'\nspectrum.state = 'full'", "is the same for every arm"),
        ("[space]\nlr = { low = 1, high = 2 }\n[[arms]]\nname = 'a'", "give lists, and few"),
        ("[space]\nwarmup = [1, 100]\n[[arms]]\nname = 'a'", "than train.epochs, 100, with warmup=100.0"),
        ("[final]\nstop_at_target = true\n[[arms]]\nname = 'a'", "trains every candidate"),
        ("[space]\npreset = ['set', 'rigl']", "compare presets as arms: [[arms]]"),
        ("[space]\nseed = [1, 2]", "seeds = [1, 2, 3] at the top"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_arms_is_said_where_it_stands(text, said):
    problems = problems_of(text)
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds = 0", "recipe:1: seeds: found 0; expected a list of different seeds"),
        ("seeds = [1, 1]", "expected a list of different seeds"),
        ("seeds = 'three'", "or how many"),
        ("seed = 2\nseeds = [1, 2]", "recipe:1: seed: found 2; seeds begins with 1"),
        ("seeds = 3\n[final]\nseeds = 2", "recipe:3: final.seeds: found 2; there are 3 seeds"),
    ],
)
def test_what_is_wrong_with_seeds(text, said):
    with pytest.raises(RecipeError, match="seed") as error:
        loads(text)
    assert said in "\n".join(error.value.problems)
