import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune.recipe import dumps, load_recipe, loads, shipped_recipes
from hyperprune.recipe.write import inline


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_written_recipe_is_read_back_the_same_and_names_every_setting(name):
    recipe = load_recipe(name)
    text = dumps(recipe)
    assert loads(text) == recipe
    assert dumps(loads(text)) == text
    assert set(tomllib.loads(text)["train"]) == set(type(recipe.train).model_fields)


def test_a_resolved_preset_is_written_out_and_does_not_come_back_over_changes():
    recipe = loads("[prune]\npreset = 'rigl'\nremoval_rate = 0.1")
    again = loads(dumps(recipe))
    assert again == recipe
    assert again.prune.removal_rate == 0.1


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
        ),
        max_leaves=8,
    )
)
def test_any_value_survives_toml(value):
    assert tomllib.loads(f"value = {inline(value)}")["value"] == value
