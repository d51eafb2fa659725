"""Where a recipe comes from and where it points: order of overrides, odd files, relative folders."""

import itertools
import os

import pytest

from hyperprune.errors import RecipeError
from hyperprune.recipe import dumps, load_recipe, loads
from hyperprune.testing import tiny_text

SETTINGS = [
    "prune.removal=mest",
    "prune.removal.gamma=3.0",
    "prune.schedule={name = 'cosine', minimum = 0.1}",
    "prune.schedule.minimum=0.2",
    "prune={sparsity = 0.7}",
]


def test_the_order_of_overrides_does_not_matter():
    found = {dumps(loads("", "r", order)) for order in itertools.permutations(SETTINGS)}
    assert len(found) == 1
    recipe = loads("", "r", SETTINGS)
    assert recipe.prune.removal.plain == {"name": "mest", "gamma": 3.0}
    assert recipe.prune.schedule.plain == {"name": "cosine", "minimum": 0.2}
    assert recipe.prune.sparsity == 0.7


def test_of_one_key_given_twice_the_last_counts():
    assert loads("", "r", ["train.lr=1", "train.lr=2"]).train.lr == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n", b"\xef\xbb\xbf"])
def test_an_empty_recipe_is_no_recipe(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"empty recipe.*recipes cp quickstart"):
        load_recipe(path, ["train.lr=2"])


def test_a_byte_order_mark_is_no_character(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + b"seed = 7\n")
    assert load_recipe(path).seed == 7


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_recipe_in_utf_16_is_refused_in_words(tmp_path, encoding):
    path = tmp_path / "mine.toml"
    path.write_text("seed = 7\n", encoding=encoding)
    with pytest.raises(RecipeError, match=r"mine\.toml:1: not UTF-8 text"):
        load_recipe(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(RecipeError, match="not a file"):
        load_recipe(tmp_path / "pipe.toml")


def test_a_relative_root_counts_from_the_recipe_and_an_override_from_here(tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    recipe = home / "mine.toml"
    recipe.write_text("[data]\ncorpus = 'text'\nroot = 'text'\n")
    monkeypatch.chdir(elsewhere)
    assert load_recipe(recipe).data.root == str(home / "text")
    assert load_recipe("../home/mine.toml").data.root == str(elsewhere / ".." / "home" / "text")
    assert load_recipe(recipe, ["data.root=text"]).data.root == str(elsewhere / "text")
    assert load_recipe(recipe, ["data={root='text'}"]).data.root == str(elsewhere / "text")
    assert load_recipe(recipe, ["data.root=~/x"]).data.root == "~/x"
    assert load_recipe(recipe, [f"data.root={tiny_text(home)}"]).data.root == str(home)


WIDE = "[space]\nlr = { low = 1.0, high = 9.0 }\n"
"""A recipe of defaults with a space that never ends."""


def fitting(text, *overrides):
    """What a refusal offers, as settings."""
    with pytest.raises(RecipeError, match="what would fit") as caught:
        loads(text, "r", overrides)
    offered = str(caught.value).partition("what would fit: ")[2].splitlines()[0]
    return [words.replace(" ", "") for words in offered.split(" or ")]


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.epochs=10"],
        ["train.epochs=4"],
        ["train.epochs=30", "search.candidates=300", "rounds.keep=0.9"],
        ["train.epochs=12", "rounds.first=11", "rounds.epochs=7"],
        ["train.epochs=2", "prune.update=5"],
    ],
)
def test_what_is_offered_instead_fits_and_a_little_more_would_not(overrides):
    offers = fitting(WIDE, *overrides)
    assert offers
    for offer in offers:
        loads(WIDE, "r", [*overrides, offer])
        key, _, value = offer.partition("=")
        less = -1 if key == "train.epochs" else 1
        with pytest.raises(RecipeError, match="what would fit"):
            loads(WIDE, "r", [*overrides, f"{key}={int(value) + less}"])


def test_a_pool_is_never_larger_than_the_space():
    space = "[space]\nremoval = ['magnitude', 'random']\n"
    assert loads(space, "r", ["search.candidates=10000", "train.epochs=5"])
    with pytest.raises(RecipeError, match="what would fit"):
        loads(WIDE, "r", ["search.candidates=10000", "train.epochs=5"])


def test_ranges_have_a_width_that_a_float_holds():
    with pytest.raises(RecipeError, match="beyond"):
        loads("[space]\nlr = { low = 1.0, high = 1e300 }")
    with pytest.raises(RecipeError, match="or above"):
        loads("[space]\nlr = { low = 1e-300, high = 1.0, log = true }")


@pytest.mark.parametrize(
    ("space", "distance", "refused"),
    [
        ("hidden = [8, 16]", "l2", "different widths; what does: kaplan_yorke, wasserstein"),
        ("hidden = { low = 8, high = 16 }", "top_k", "different widths"),
        ("layers = [1, 2]", "wasserstein", "different layers; what does: kaplan_yorke"),
        ("hidden = [8, 16]", "wasserstein", None),
        ("layers = [1, 2]", "kaplan_yorke", None),
        ("dropout = [0.1, 0.2]", "l2", None),
        ("hidden = [8]", "l2", None),
    ],
)
def test_a_space_of_sizes_needs_a_distance_that_compares_them(space, distance, refused):
    text = f"[model]\nhidden = 8\nlayers = 1\n[space]\n{space}\n[spectrum]\ndistance = '{distance}'"
    loads(text)  # by loss alone nothing is compared with the distance
    text += "\n[search]\nobjective = 'both'"
    if refused is None:
        loads(text)
    else:
        with pytest.raises(RecipeError, match=refused):
            loads(text)
    loads(text, "r", ["search.objective=loss"])


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        (["prune.initial_sparsity=0.8"], "prune.initial_sparsity: found 0.8"),
        (["prune.initial_sparsity=0.1"], "prune.stop: found 1.0; gradual"),
        (["prune.initial_sparsity=0.1", "prune.stop=0.75"], None),
        (["prune.preset=gradual"], None),
    ],
)
def test_gradual_pruning_starts_denser_and_ends_in_time(overrides, refused):
    if refused is None:
        loads("", "r", overrides)
    else:
        with pytest.raises(RecipeError, match=refused):
            loads("", "r", overrides)
