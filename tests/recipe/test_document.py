"""A recipe from Python's values: NumPy's numbers are numbers, and what is none is called by its type."""

import numpy as np
import pytest

from hyperprune.errors import RecipeError
from hyperprune.recipe import dumps, loads
from hyperprune.recipe.document import from_document


def test_numbers_of_numpy_are_numbers():
    said = {
        "model": {"hidden": np.int64(8), "dropout": np.float64(0.5)},
        "train": {"lr": np.float32(0.5), "variable_bptt": False},
        "space": {"removal_rate": [*np.linspace(0.25, 0.75, 3)]},
    }
    text = "[model]\nhidden = 8\ndropout = 0.5\n[train]\nlr = 0.5\nvariable_bptt = false\n"
    text += "[space]\nremoval_rate = [0.25, 0.5, 0.75]\n"
    assert dumps(from_document(said)) == dumps(loads(text))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "found None; leave the key out"),
        (np.ones(2), "found numpy.ndarray; expected text, a number"),
        ({1, 2}, "found set; expected text"),
    ],
)
def test_what_a_recipe_does_not_hold_is_called_by_its_type(value, said):
    with pytest.raises(RecipeError) as caught:
        from_document({"space": {"removal_rate": value}})
    assert f"space.removal_rate: {said}" in "\n".join(caught.value.problems)
