import pytest

from hyperprune.errors import RecipeError
from hyperprune.recipe import apply, default_configuration, dumps, loads, space_of
from hyperprune.search.space import Dimension, Range, Values

TEXT = """
[model]
name = "stacked_lstm"
dropout = 0.5
[train]
lr = 20
[prune]
removal = { name = "mest", gamma = 0.5 }
[space]
removal = ["magnitude", "mest"]
"prune.removal.gamma" = { low = 0.1, high = 10, log = true }
growth = ["random", "gradient"]
lr = { low = 1, high = 40, log = true }
dropout = [0, 0.5]
bptt = { low = 20, high = 50 }
sparsity = 0.9
"""


def test_a_space_has_full_paths_canonical_values_and_children_after_their_parents():
    assert space_of(loads(TEXT)).dimensions == (
        Dimension("prune.removal", Values(("magnitude", "mest"))),
        Dimension("prune.growth", Values(("random", "gradient"))),
        Dimension("train.lr", Range(1.0, 40.0, log=True)),
        Dimension("model.dropout", Values((0.0, 0.5))),
        Dimension("train.bptt", Range(20, 50, integer=True)),
        Dimension("prune.sparsity", Values((0.9,))),
        Dimension("prune.removal.gamma", Range(0.1, 10.0, log=True), "prune.removal", ("mest",)),
    )


def test_numbers_take_their_fields_type_so_that_equal_settings_are_equal():
    space = space_of(loads("[space]\nlr = [1, 2.0]\nbptt = [20, 30]"))
    values = [(type(v), v) for item in space.dimensions for v in item.domain]
    assert values == [(float, 1.0), (float, 2.0), (int, 20), (int, 30)]


def test_options_at_their_defaults_do_not_make_another_control():
    same = "removal = ['mest', { name = 'mest', gamma = 1 }]"
    with pytest.raises(RecipeError, match="names a value twice"):
        loads(f"[space]\n{same}")


def test_a_control_listed_by_name_keeps_the_recipes_options():
    recipe = loads(
        "[prune]\nremoval = { name = 'mest', gamma = 0.5 }\n[space]\nremoval = ['set', 'mest']"
    )
    assert space_of(recipe).dimensions[0].domain == Values(("set", {"name": "mest", "gamma": 0.5}))
    assert default_configuration(recipe) == {"prune.removal": {"name": "mest", "gamma": 0.5}}


def test_an_option_of_a_control_that_does_not_vary_always_counts():
    recipe = loads("[prune]\nremoval = 'mest'\n[space]\n'removal.gamma' = [0.5, 1]")
    assert space_of(recipe).dimensions == (Dimension("prune.removal.gamma", Values((0.5, 1.0))),)
    assert default_configuration(recipe) == {"prune.removal.gamma": 1.0}
    assert apply(recipe, {"prune.removal.gamma": 0.5}).prune.removal.options == {"gamma": 0.5}


def test_applying_a_configuration_gives_a_recipe_with_nothing_left_to_vary():
    configuration = {
        "prune.removal": "mest",
        "prune.removal.gamma": 2.0,
        "prune.growth": "gradient",
        "train.lr": 10.0,
        "model.dropout": 0.0,
        "train.bptt": 30,
        "prune.sparsity": 0.9,
    }
    recipe = loads(TEXT)
    own = apply(recipe, configuration)
    assert own.prune.removal.plain == {"name": "mest", "gamma": 2.0}
    assert (own.prune.growth.name, own.prune.sparsity) == ("gradient", 0.9)
    assert (own.train.lr, own.train.bptt) == (10.0, 30)
    assert own.model.options == {"dropout": 0.0}
    assert own.space == {}
    assert recipe == loads(TEXT)  # the recipe itself is untouched
    # A control that replaces another leaves none of the other's options behind.
    assert apply(recipe, {"prune.removal": "magnitude"}).prune.removal.options == {}
    assert loads(dumps(own)) == own


def test_the_default_is_the_recipes_own_settings_where_the_space_has_them():
    recipe = loads(TEXT.replace("sparsity = 0.9", "sparsity = 0.67"))
    assert default_configuration(recipe) == {
        "prune.removal": "mest",
        "prune.growth": "random",
        "train.lr": 20.0,
        "model.dropout": 0.5,
        "train.bptt": 35,
        "prune.sparsity": 0.67,
        "prune.removal.gamma": 0.5,
    }
    assert default_configuration(loads(TEXT)) is None  # the space fixes another sparsity


def test_the_default_lies_in_the_space_and_applies_to_the_recipe_itself():
    recipe = loads(TEXT.replace("sparsity = 0.9", "sparsity = 0.67"))
    configuration = default_configuration(recipe)
    assert space_of(recipe).contains(configuration)
    assert apply(recipe, configuration) == recipe.model_copy(update={"space": {}})


def test_tables_in_tables_and_dotted_keys_name_the_same_settings():
    nested = "[space.prune]\nremoval = ['set', 'mest']\n[space.train]\nlr = { low = 1, high = 2 }"
    dotted = "[space]\n'prune.removal' = ['set', 'mest']\n'train.lr' = { low = 1, high = 2 }"
    assert loads(nested) == loads(dotted)


def test_initial_scale_and_the_learning_rates_course_may_vary():
    recipe = loads(
        '[space]\ninit_scale = ["none", "variance"]\n"train.schedule" = ["constant", "cosine"]\n'
        "warmup = { low = 0.0, high = 2.0 }"
    )
    chosen = {"prune.init_scale": "variance", "train.schedule": "cosine", "train.warmup": 1.5}
    own = apply(recipe, chosen)
    assert (own.prune.init_scale, own.train.schedule, own.train.warmup) == (
        "variance",
        "cosine",
        1.5,
    )
    with pytest.raises(RecipeError, match=r"could be prune.schedule or train.schedule"):
        loads('[space]\nschedule = ["cosine"]')
