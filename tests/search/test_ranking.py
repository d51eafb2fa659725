"""Who survives, and Spearman's correlation on cases worked by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune.search.ranking import best, ranks, spearman, survivors


def test_best_breaks_ties_by_name():
    assert best({"c": 1.0, "a": 2.0, "b": 1.0}, 2) == ["b", "c"]


def test_equal_values_share_their_mean_rank():
    #      values 3 1 3 2  ->  ranks 3.5 1 3.5 2
    assert ranks([3, 1, 3, 2]) == [3.5, 1, 3.5, 2]


def test_spearman_of_a_case_worked_by_hand():
    # ranks 1 2 3 4 against 2 1 4 3: Σd² = 4, ρ = 1 − 6·4 / (4·15) = 0.6
    assert spearman([10, 20, 30, 40], [2, 1, 4, 3]) == pytest.approx(0.6)


def test_too_few_or_constant_values_have_no_correlation():
    assert spearman([1, 2], [1, 2]) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None


@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=12, unique=True))
def test_spearman_sees_only_order(values):
    assert spearman(values, [math.atan(v / 100) for v in values]) == pytest.approx(1.0)
    assert spearman(values, [-v for v in values]) == pytest.approx(-1.0)


def test_the_lowest_loss_takes_the_last_place_where_scores_would_drop_it():
    scores = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    losses = {"a": 9.0, "b": 8.0, "c": 7.0, "d": 6.0}
    assert survivors(scores, losses, 2) == ["a", "d"]
    assert survivors(scores, losses, 2, hedge=False) == ["a", "b"]
    assert survivors(scores, {**losses, "b": 1.0}, 2) == ["a", "b"]  # it is there already
    assert survivors(scores, losses, 1) == ["a"]  # a single place belongs to the score
    assert survivors(scores, losses, 9) == ["a", "b", "c", "d"]
