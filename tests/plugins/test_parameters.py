"""What a recipe may say of a plugin's keyword-only parameters, whatever types they have."""

import json
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import Field

from hyperprune.errors import RecipeError
from hyperprune.plugins import registry
from hyperprune.plugins.parameters import check_options, describe_schema, parameters_of
from hyperprune.recipe import dumps, loads, space_of
from hyperprune.recipe.problems import read
from hyperprune.recipe.schema import recipe_schema


class Device:
    """A type of a stranger's."""


def cell(
    *,
    hidden: int = 4,
    act: Callable[[float], float] = math.tanh,
    device: Device | None = None,
    kind: type = Device,
    made: Any = Device(),  # noqa: B008
) -> None:
    """Options of which a recipe can say one."""


def test_options_that_json_has_no_word_for_leave_the_others_as_they_are():
    words = {item.name: describe_schema(item.schema) for item in parameters_of(cell)}
    assert words["hidden"] == "integer"
    assert words["act"] == words["kind"] == words["made"] == "any"
    assert check_options(cell, {"hidden": 8})[0]["act"] is math.tanh
    assert [key for key, _ in check_options(cell, {"act": "tanh"})[1]] == ["act"]
    for item in parameters_of(cell)[1:3]:
        field = SimpleNamespace(annotation=item.annotation, metadata=[])
        with pytest.raises(ValueError, match="found 'x'; expected any"):
            read(field, "x")


def at_times(
    progress: float,
    start: float,
    *,
    at: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(max_length=3)] = (0.5,),
    pairs: list[tuple[int, int]] | None = None,
    ceiling: float = math.inf,
    bounds: tuple = (0.0, math.inf),
) -> float:
    """Down at certain times."""
    return start


@pytest.fixture
def steps(monkeypatch):
    """A schedule `steps` beside what ships."""
    from hyperprune.plugins import Contribution

    item = Contribution("schedule", "steps", at_times, "stranger", "1")
    monkeypatch.setitem(registry().contributions, ("schedule", "steps"), item)


def test_tuples_are_taken_from_lists_and_their_items_are_as_strict_as_ever():
    values, problems = check_options(at_times, {"at": [0.3, 0.6], "pairs": [[1, 2]], "bounds": []})
    assert not problems
    assert (values["at"], values["pairs"], values["bounds"]) == ((0.3, 0.6), [(1, 2)], ())
    wrong = {"at": [0.3, "0.6"], "pairs": [[1, 2.5]], "bounds": 3}
    assert [key for key, _ in check_options(at_times, wrong)[1]] == ["at.1", "pairs.0.1", "bounds"]
    assert [key for key, _ in check_options(at_times, {"at": [1.0] * 4})[1]] == ["at"]
    assert [key for key, _ in check_options(at_times, {"at": [-1.0]})[1]] == ["at.0"]


def test_a_recipe_says_tuples_as_lists_and_so_does_its_space(steps):
    recipe = loads("[prune]\nschedule = { name = 'steps', at = [0.3, 0.6] }\n")
    assert loads(dumps(recipe)) == recipe
    recipe = loads("[prune]\nschedule = 'steps'\n[space]\n'schedule.at' = [[0.5], [0.3, 1]]\n")
    assert space_of(recipe).dimensions[0].domain.values == ([0.5], [0.3, 1.0])
    listed = "[space]\nschedule = ['constant', { name = 'steps', at = [0.25] }]\n"
    recipe = loads(listed.replace("schedule", "'prune.schedule'"))
    assert space_of(recipe).dimensions[0].domain.values[1] == {"name": "steps", "at": [0.25]}
    with pytest.raises(RecipeError, match=r"schedule\.at: found \['x'\]"):
        loads("[prune]\nschedule = 'steps'\n[space]\n'schedule.at' = [['x']]\n")


def test_a_default_that_is_not_finite_is_left_out_of_the_schema(steps):
    (own,) = [
        item
        for item in recipe_schema()["properties"]["prune"]["properties"]["schedule"]["anyOf"]
        if item.get("properties", {}).get("name") == {"const": "steps"}
    ]
    json.dumps(own, allow_nan=False)
    assert own["properties"]["at"]["default"] == [0.5]
    assert "default" not in own["properties"]["ceiling"] | own["properties"]["bounds"]
