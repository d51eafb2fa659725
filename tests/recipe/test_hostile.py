"""Whatever a file holds, the answer is a recipe or a clean RecipeError that is safe to print."""

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyperprune.errors import RecipeError
from hyperprune.recipe import dumps, load_recipe, loads
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.write import inline


def refused(text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        loads(text, "my.toml", overrides)
    for line in caught.value.problems:
        assert line.isprintable()
        assert len(line) <= 400
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[model]\nx = " + "[" * 200 + "]" * 200,
        "[model]\nx = " + "[" * 100_000,
        "[model]\nx = " + "{a=" * 300 + "1" + "}" * 300,
        "a." * 20_000 + "b = 1",
        "x = {" + "'a'." * 20_000 + "b = 1}",
        'x = {a = """b"""", ' + "a." * 20_000 + "b = 1}",
        'x = "' + '\\"' * 60_000,
        "\n".join(f"k{n} = {n}" for n in range(20_000)),
        "[" + "a." * 5_000 + "b]",
        "seed = " + "9" * 5_000,
        "seed = 99999999999999999999999999",
        "title = 3\n[train]\nlr = 1" + "0" * 5_000 + ".0",
        "x = '\\ud800'",
        "[space]\nlr = {low = -1e308, high = 1e308}",
        "[search]\ncandidates = 1000000000000\n[rounds]\nkeep = 0.9999999999",
        "\x00",
        "title = '\x1b[31m'",
        '"\\u001b[2J" = 1',
        '[model]\n"\\u001b[2J\\u202e" = "\\u001b]0;owned\\u0007"',
        '[prune]\nremoval = "\\u001b[31mred"',
        '[space]\n"\\u009b31m" = [1]',
    ],
)
def test_hostile_text_is_refused_in_a_few_printable_lines(text):
    assert "\x1b" not in refused(text)


def test_hostile_overrides_are_refused_in_printable_lines():
    text = refused("", "title\x1b=1", "train.lr=\x1b[31m", "train.lr=" + "[" * 5000, "x" * 10_000)
    assert text.count("--set") == 4


def test_files_that_are_no_recipe(tmp_path):
    path = tmp_path / "a\x1b[31m.toml"
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(path)
    path.write_bytes(b"title = '\xff'")
    with pytest.raises(RecipeError, match=r":1: not UTF-8 text \(byte 9\)"):
        load_recipe(path)
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(RecipeError, match="larger than") as caught:
        load_recipe(path)
    assert str(caught.value).isprintable()
    with pytest.raises(RecipeError, match="not a file"):
        load_recipe(tmp_path)
    fifo = tmp_path / "fifo.toml"
    os.mkfifo(fifo)
    with pytest.raises(RecipeError, match="not a file"):
        load_recipe(fifo)
    with pytest.raises(RecipeError):
        load_recipe("a\x00b.toml")


def outcome(load):
    """A recipe, or what is wrong; any other exception is a failure of the test."""
    try:
        return load(), ()
    except RecipeError as error:
        return None, error.problems


VALUES = st.recursive(
    st.one_of(
        st.integers(-3, 50),
        st.floats(allow_nan=True, width=32),
        st.booleans(),
        st.sampled_from(["magnitude", "mest", "rigl", "epoch", "hidden", "\x1b[31m", "", "l2"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "low", "high", "log", "gamma", "options", "x\x1b"]), inner
        ),
    ),
    max_leaves=5,
)
SECTIONS = [getattr(field.annotation, "model_fields", {}) for field in Recipe.model_fields.values()]
KEYS = sorted({key for fields in SECTIONS for key in fields} | {"zzz"})


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*Recipe.model_fields, "zzz"]),
        st.one_of(VALUES, st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)),
        max_size=4,
    )
)
@example({"prune": {"removal": {"name": "mest", "options": 3}}})
@example({"space": {"x\x1b": {"low": 1}}})
@example({"model": {"options": {"hidden": 0}}})
@example({"seeds": [0.0]})
@example({"plugins": [0], "arms": []})
@example({"arms": [3, {"name": 1}]})
def test_any_document_gives_a_recipe_or_printable_problems(document):
    text = "\n".join(f"{key} = {inline(value)}" for key, value in document.items())
    recipe, told = outcome(lambda: loads(text))
    assert all(line.isprintable() for line in told)
    if recipe is not None:
        assert loads(dumps(recipe)) == recipe


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_recipe_or_printable_problems(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    recipe, told = outcome(lambda: load_recipe(path))
    assert (recipe is None) == bool(told)
    assert all(line.isprintable() for line in told)
