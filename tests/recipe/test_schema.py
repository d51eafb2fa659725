import json
import runpy
import tomllib
from pathlib import Path

import jsonschema
import pytest

from hyperprune.recipe import dumps, load_recipe, shipped_recipes
from hyperprune.recipe.schema import recipe_schema

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "docs" / "generate_recipes.py"


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft7Validator(recipe_schema())


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_meet_the_schema_as_written_and_resolved(name, validator):
    validator.validate(tomllib.loads(shipped_recipes()[name].read_text()))
    validator.validate(tomllib.loads(dumps(load_recipe(name))))


@pytest.mark.parametrize(
    "text",
    [
        "[prune]\nsparsity = 1.0",
        "[prune]\nsparsty = 0.5",
        "[prune]\nremoval = 'no_such'",
        "[prune]\nremoval = { name = 'mest', gama = 1 }",
        "[prune]\npreset = 'no_such'",
        "[model]\nname = 'no_such'",
        "[model]\nhiden = 3",
        "[data]\nvocabulry = 3",
        "[space]\nlr = { low = 1, hi = 2 }",
        "[train]\ndevice = 'tpu'",
        "nonsense = 3",
    ],
)
def test_an_editor_is_told_of_the_same_mistakes(text, validator):
    assert list(validator.iter_errors(tomllib.loads(text)))


def test_the_generated_page_and_schema_are_current():
    outputs = runpy.run_path(str(GENERATOR))["outputs"]()
    assert len(outputs) == 2
    for path, text in outputs.items():
        assert path.read_text(encoding="utf-8") == text, f"run python {GENERATOR.name}"
    json.loads((ROOT / "recipes" / "recipe.schema.json").read_text(encoding="utf-8"))
