import json

import pytest

from hyperprune.cli.recipes import summary
from hyperprune.recipe import load_recipe, shipped_recipes


def test_the_list_has_a_line_a_recipe(hyperprune):
    lines = hyperprune("recipes").out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_recipes())
    assert all(len(line.split()) > 4 for line in lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#:schema x\n# hyperprune run a\n#\n# One line. And more.\n# b\n\n# c", "One line"),
        (
            "# About et al. (2014) at\n# full size.\n#\n# Cost: high.\n",
            "About et al. (2014) at full size",
        ),
        ("seed = 1\n# no opening comment\n", ""),
    ],
)
def test_the_line_is_the_first_sentence_of_the_opening_comment(tmp_path, text, said):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    assert summary(path) == said


@pytest.mark.parametrize("target", ["mine.toml", "folder/deep/mine.toml"])
def test_a_copy_says_the_same(hyperprune, tmp_path, target):
    result = hyperprune("recipes", "cp", "quickstart", tmp_path / target)
    assert result.code == 0
    assert result.out.replace("\n", "") == str(tmp_path / target)
    assert load_recipe(tmp_path / target) == load_recipe("quickstart")


def test_a_copy_into_a_folder_keeps_its_name_and_finds_its_schema(hyperprune, tmp_path):
    hyperprune("recipes", "cp", "quickstart", tmp_path)
    first = (tmp_path / "quickstart.toml").read_text().splitlines()[0]
    assert first.startswith("#:schema file:///")
    assert first.endswith(".schema.json")


def test_a_copy_replaces_nothing_unless_told(hyperprune, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    refused = hyperprune("recipes", "cp", "quickstart", path)
    assert refused.code == 2
    assert "exists; --force replaces it" in refused.err
    assert path.read_text() == "mine"
    assert hyperprune("recipes", "cp", "quickstart", path, "--force").code == 0
    assert load_recipe(path) == load_recipe("quickstart")


def test_an_unknown_recipe_has_a_nearest_name(hyperprune, tmp_path):
    result = hyperprune("recipes", "cp", "quikstart", tmp_path)
    assert result.code == 2
    assert "did you mean 'quickstart'?" in result.err


def test_validate_tells_every_mistake_of_every_file(hyperprune, tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[prune]\nsparsity = 1.5\nremovl = 'set'\n")
    result = hyperprune("validate", "quickstart", wrong, tmp_path / "absent.toml")
    assert result.code == 2
    assert result.out == "quickstart: ok\n"
    assert "wrong.toml:2: prune.sparsity: found 1.5" in result.err
    assert "wrong.toml:3: prune.removl: unknown key (did you mean 'removal'?)" in result.err
    assert "absent.toml: no such file" in result.err


def test_validate_is_content_with_what_ships(hyperprune):
    names = list(shipped_recipes())
    result = hyperprune("validate", *names)
    assert result.out.splitlines() == [f"{name}: ok" for name in names]
    assert (result.code, result.err) == (0, "")


def test_the_schema_is_json(hyperprune):
    schema = json.loads(hyperprune("schema").out)
    assert "prune" in schema["properties"]
