"""A first recipe: what fits the time, from an estimate that is given."""

import tomllib
from types import SimpleNamespace

import pytest

from hyperprune.errors import CorpusError, HyperpruneError, RecipeError, RunError
from hyperprune.plan import advise
from hyperprune.plan.advise import seconds_of_words
from hyperprune.plan.first_recipe import Wish
from hyperprune.recipe import loads


@pytest.fixture
def epoch(monkeypatch):
    """One worker, on which an epoch takes a second for every 40 units and the whole text."""

    def timed(settled):
        recipe = settled.recipe
        units = recipe.model.options["hidden"]
        return SimpleNamespace(epoch=units / 40 * recipe.data.train_fraction)

    monkeypatch.setattr(advise, "estimate", timed)
    monkeypatch.setattr(advise, "WIDTHS", (320, 80, 40))
    monkeypatch.setattr(advise, "SHARES", (1.0, 0.5))
    monkeypatch.setattr(advise, "settle", lambda recipe: SimpleNamespace(recipe=recipe, workers=1))


def wish(toy_text, seconds, network="stacked_lstm", sparsity=0.9):
    return Wish(str(toy_text), network, sparsity, seconds)


@pytest.mark.parametrize(
    ("seconds", "hidden", "share", "plan"),
    [
        # 4 candidates × 3 epochs, 2 of them to 6, the dense network's 6: 24 epochs of a second
        (24 / 0.8, 40, 1.0, (4, 6)),
        (23 / 0.8, 40, 0.5, (4, 8)),  # of half the text more is trained in the time
        (10**7, 320, 1.0, (40, 100)),
    ],
)
def test_the_largest_that_fits(epoch, toy_text, seconds, hidden, share, plan):
    found = advise.advise(wish(toy_text, seconds))
    recipe = loads(found.text)
    assert recipe.model.options["hidden"] == hidden
    assert recipe.data.train_fraction == share
    assert (recipe.search.candidates, recipe.train.epochs) == plan
    assert found.seconds <= 0.8 * seconds


def test_a_share_that_lacks_a_class_is_not_taken(epoch, toy_text, monkeypatch):
    def settle(recipe):
        if recipe.data.train_fraction < 1:
            raise CorpusError("no training sequence has class 3")
        return SimpleNamespace(recipe=recipe, workers=1)

    monkeypatch.setattr(advise, "settle", settle)
    with pytest.raises(RecipeError, match="takes about 30 s"):
        advise.advise(wish(toy_text, 24))  # half of it would take 24 / 2 / 0.8 = 15 s


def test_a_wider_network_only_where_its_search_is_worth_it(epoch, toy_text):
    """At 80 units only four candidates would fit; at 40 eight do."""
    enough = advise.advise(wish(toy_text, 100))
    recipe = loads(enough.text)
    assert (recipe.model.options["hidden"], recipe.search.candidates) == (40, 8)


def test_sparsity_says_what_is_grown_and_how_fast_is_learned(epoch, toy_text):
    few = tomllib.loads(advise.advise(wish(toy_text, 500, sparsity=0.95)).text)
    more = tomllib.loads(advise.advise(wish(toy_text, 500, sparsity=0.6)).text)
    assert few["space"]["growth"] == ["gradient", "momentum"]
    assert more["space"]["growth"] == ["random", "gradient"]
    assert few["train"]["lr"] * 2 == more["train"]["lr"]
    assert few["model"]["dropout"] < more["model"]["dropout"]


def test_what_is_wrong_is_told_together(epoch, toy_text):
    with pytest.raises(RecipeError) as told:
        advise.advise(Wish("pydok", "gruu", 1.5, 60, task="clasification"))
    said = str(told.value)
    assert "did you mean 'pydoc'" in said
    assert "did you mean 'gru'" in said
    assert "did you mean 'classification'" in said
    assert "found 1.5" in said
    with pytest.raises(RecipeError, match="takes about 15 s"):
        advise.advise(wish(toy_text, 0.1))  # 24 epochs of half a second, in four fifths of the time


@pytest.mark.parametrize("words", ["", "soon", "3", "-3m", "0h", "3 weeks"])
def test_a_time_is_a_number_with_its_unit(words):
    with pytest.raises(RecipeError, match="such as 30m"):
        seconds_of_words(words)
    assert seconds_of_words("1.5 H") == 5400


def test_the_command_asks_nothing_with_yes_and_overwrites_nothing(epoch, toy_text, tmp_path):
    from hyperprune.cli import app

    target = tmp_path / "mine.toml"
    words = ["init", str(target), "--yes", "--data", str(toy_text), "--time", "1h"]
    app(words, standalone_mode=False)
    kept = target.read_bytes()
    assert loads(kept.decode()).data.root == str(toy_text)
    with pytest.raises(RunError, match="left as it is"):
        app([*words, "--sparsity", "0.5"], standalone_mode=False)
    assert target.read_bytes() == kept
    with pytest.raises(HyperpruneError, match="expected a number"):
        app([*words[:1], str(tmp_path / "b.toml"), "--yes", "--time", "now"], standalone_mode=False)
    assert not (tmp_path / "b.toml").exists()
