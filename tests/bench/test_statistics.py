import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hyperprune.bench.statistics import (
    Correlated,
    attainable,
    bootstrap,
    kendall,
    pooled_deviation,
    ranks,
    spearman,
)
from hyperprune.search import ranking


def test_equal_values_share_their_mean_rank():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_rank_correlations_of_a_swap():
    # 1 2 3 4 against 1 2 4 3: d² = 0 0 1 1, ρ = 1 − 6·2/(4·15) = 0.8; 5 of 6 pairs agree, τ = 4/6.
    a, b = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 4, 3])
    assert spearman(a, b) == pytest.approx(0.8)
    assert kendall(a, b) == pytest.approx(2 / 3)


def test_kendall_discounts_ties():
    # Pairs of (1,1,2) and (1,2,3): one tie on the left, two that agree: 2 / √(2·3).
    assert kendall(np.array([1.0, 1, 2]), np.array([1.0, 2, 3])) == pytest.approx(2 / math.sqrt(6))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=12))
def test_spearman_agrees_with_the_one_in_the_run_report(pairs):
    a, b = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    other = ranking.spearman(a.tolist(), b.tolist())
    assert math.isnan(spearman(a, b)) if other is None else spearman(a, b) == pytest.approx(other)


def test_a_bootstrap_interval_holds_its_estimate_and_repeats():
    rng = np.random.default_rng(1)
    a = rng.normal(size=40)
    b = a + rng.normal(size=40)
    interval = bootstrap(spearman, a, b, seed=3)
    assert interval.low < interval.value < interval.high
    assert interval == bootstrap(spearman, a, b, seed=3)


samples = st.lists(st.integers(-3, 3), min_size=2, max_size=9)


@given(st.data(), samples, st.integers(0, 99))
def test_samples_held_against_one_end_are_what_the_bootstrap_says_to_the_bit(data, end, seed):
    sample = data.draw(st.lists(st.integers(0, 3), min_size=len(end), max_size=len(end)))
    a, b = np.array(sample, float), np.array(end, float)
    assume(np.ptp(a) and np.ptp(b))
    assert Correlated(b, seed=seed).spearman(a) == bootstrap(spearman, a, b, seed=seed)


def test_a_sample_with_an_unknown_value_has_no_correlation():
    held = Correlated(np.arange(3.0), seed=0).spearman(np.array([1.0, math.nan, 2.0]))
    assert np.isnan([held.value, held.low, held.high]).all()


def test_deviation_within_groups_ignores_what_lies_between_them():
    # Squares 0.5 + 2 over 1 + 2 degrees of freedom.
    assert pooled_deviation([[1, 2], [10, 11, 12], [99]]) == pytest.approx(math.sqrt(2.5 / 3))
    assert math.isnan(pooled_deviation([[1], [2]]))


def test_noise_limits_the_attainable_correlation():
    values = np.linspace(0, 1, 40)
    none, some, much = (attainable(values, noise, seed=0) for noise in (0.0, 0.1, 0.25))
    assert none == pytest.approx(1.0)
    assert none > some > much > 0
    assert attainable(values, 10.0, seed=0) == 0.0  # all of the spread may be noise
