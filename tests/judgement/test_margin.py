"""The difference of two means over seeds, with Welch's interval."""

import pytest

from hyperprune.judgement.margin import Margin, margin


def test_the_interval_is_welchs():
    # Means 2 and 1, variances 1 and 1 over three each: standard error √(2/3), 4 degrees of freedom,
    # t = 2.776: 1 ± 2.267.
    found = margin([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    assert found.value == pytest.approx(1.0)
    assert found.low == pytest.approx(1 - 2.267, abs=1e-3)
    assert found.high == pytest.approx(1 + 2.267, abs=1e-3)
    assert found.met is None


def test_a_single_seed_says_nothing_of_chance():
    assert margin([1.0], [2.0, 3.0]) == Margin(-1.5, None, None)
    assert margin([1.0], [2.0, 3.0]).met is None


def test_the_target_is_met_or_missed_where_the_interval_leaves_no_doubt():
    assert margin([1.0, 1.1], [2.0, 2.1]).met is True
    assert margin([2.0, 2.1], [1.0, 1.1]).met is False
    assert margin([1.0, 1.0], [1.0, 1.0]).met is True  # the same every time
