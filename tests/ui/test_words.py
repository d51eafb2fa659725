import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune.judgement.margin import Margin
from hyperprune.terms.duration import duration
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.ui import text


@given(st.text(max_size=400))
def test_what_is_shown_is_printable(value):
    shown = text.safe(value)
    assert shown.isprintable()
    if value.isprintable() and len(value) <= text.LONGEST:
        assert shown == value


def test_long_names_are_cut():
    assert text.safe("a" * 1000) == "a" * (text.LONGEST - 1) + "…"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (math.inf, "–"),
        (-3, "0 s"),
        (4.4, "4 s"),
        (59.6, "1:00"),
        (65, "1:05"),
        (7389, "2:03:09"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (None, None, "–"),
        (math.nan, 0.1, "–"),
        (0.12345, None, "0.1235"),
        (0.12345, math.nan, "0.1235"),
        (0.12345, 0.00512, "0.1235 ±0.0051"),
        (12345.6, 0.00001, "1.23e+04 ±1e-05"),
        (0.0, 0.0, "0.0000 ±0"),
    ],
)
def test_measured_values(value, error, shown):
    assert text.measured(value, error) == shown


def test_a_loss_too_large_for_exp_is_an_infinite_perplexity():
    assert PERPLEXITY.told(1e9) == "inf"
    assert PERPLEXITY.told(None) == "–"
    assert PERPLEXITY.told(math.log(72.273)) == "72.27"


def test_settings_are_named_by_their_last_word_where_one_key_has_it():
    values = {"prune.init": "er", "train.lr": 20.0, "prune.removal": {"name": "mest", "gamma": 0.5}}
    assert text.configuration(values) == "init=er, lr=20.0, removal=mest(gamma=0.5)"
    names = text.short_names(["prune.removal.gamma", "prune.growth.gamma", "train.lr"])
    assert list(names.values()) == ["prune.growth.gamma", "prune.removal.gamma", "lr"]


@pytest.mark.parametrize("form", [".3f", "+.3f", " .3f", ">9.3f"])
def test_a_margin_has_one_sign_whatever_the_format_says(form):
    metric = Metric("skill", "skills", form=form)
    told = text.margin_words(metric, Margin(0.1, -0.2, 0.4))
    assert told == ("+0.100", "-0.200", "+0.400", "")


def test_where_nothing_was_searched_a_candidate_has_the_recipes_settings():
    assert text.configured({}) == "the recipe's own settings"
    assert text.configured({"prune.init": "er"}) == "init=er"
