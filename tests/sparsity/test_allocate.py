from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune.errors import SparsityError
from hyperprune.sparsity.allocate import active_total, apportion, at_least


@pytest.mark.parametrize(
    ("total", "weights", "caps", "expected"),
    [
        (10, [1, 1], [9, 9], [5, 5]),
        (10, [3, 1], [9, 9], [8, 2]),  # 7.5 : 2.5, equal remainders: the earlier one
        (7, [2, 1, 1], [9, 9, 9], [3, 2, 2]),  # 3.5 1.75 1.75: two left, the larger remainders
        (10, [9, 1, 1], [4, 9, 9], [4, 3, 3]),  # a cap's surplus goes to the others
        (10, [9, 2, 1], [1, 3, 9], [1, 3, 6]),  # in two waves
        (6, [1, 0, 0], [2, 9, 9], [2, 2, 2]),  # no weight left: equal parts
        (0, [1, 2], [3, 3], [0, 0]),
        (6, [0, 0], [3, 3], [3, 3]),
        (3, [5, 1], [0, 4], [0, 3]),
        (0, [], [], []),
    ],
)
def test_apportion(total: int, weights: list[float], caps: list[int], expected: list[int]) -> None:
    assert apportion(total, weights, caps) == expected


@given(
    st.lists(st.tuples(st.floats(0, 1e30), st.integers(0, 10**9)), min_size=1, max_size=12),
    st.floats(0, 1),
)
def test_apportion_is_exact_and_within_caps(parts: list[tuple[float, int]], fill: float) -> None:
    weights, caps = [w for w, _ in parts], [c for _, c in parts]
    total = int(fill * sum(caps))
    counts = apportion(total, weights, caps)
    assert sum(counts) == total
    assert all(0 <= count <= cap for count, cap in zip(counts, caps, strict=True))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8), st.integers(0, 10**6))
def test_apportion_stays_within_one_of_the_exact_share(weights: list[int], total: int) -> None:
    counts = apportion(total, weights, [total] * len(weights))
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) < 1 + 1e-6


def test_apportion_refuses_what_does_not_fit() -> None:
    with pytest.raises(SparsityError, match="5 weights cannot be placed: there is room for 4"):
        apportion(5, [1, 1], [2, 2])


def test_at_least_takes_from_the_fullest() -> None:
    assert at_least([5, 0, 3, 0], [1] * 4) == [3, 1, 3, 1]
    assert at_least([2, 1], [1, 1]) == [2, 1]
    assert at_least([9, 0, 1], [1, 6, 1]) == [3, 6, 1]  # a tensor of six rows that are normed
    with pytest.raises(SparsityError, match="2 active weights for 3 tensors"):
        at_least([2, 0, 0], [1] * 3)


def test_active_total_is_of_the_sum_and_not_of_the_parts() -> None:
    assert active_total(0.5, [1, 1, 1, 1]) == 2
    assert active_total(1 - 0.67, [15_000_000, 9_000_000]) == 7_920_000
