"""The pool's halving, against the paper's own case worked by hand."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hyperprune.search.rounds import halving, spent


def test_the_papers_search():
    # 40 candidates to epoch 3; 20 to 6, 10 to 9, 5 to 12, 3 to 15; then 2 to 100
    rounds = halving(40, 3, 3, 0.5, 2)
    assert rounds == ((40, 3), (20, 6), (10, 9), (5, 12), (3, 15))
    # 40·3 + 20·3 + 10·3 + 5·3 + 3·3 = 234, and 2·(100 − 15) = 170: about a tenth of 40·100
    assert spent(rounds, 2, 100) == 234 + 170


def test_a_pool_of_finalists_only_is_one_round():
    assert halving(2, 3, 1, 0.5, 2) == ((2, 3),)
    assert spent(((2, 3),), 2, 10) == 20


@given(
    count=st.integers(1, 200),
    first=st.integers(1, 5),
    epochs=st.integers(1, 5),
    keep=st.floats(0.01, 0.99),
    finalists=st.integers(1, 8),
)
def test_every_round_is_smaller_than_the_last_and_no_smaller_than_the_finalists(
    count, first, epochs, keep, finalists
):
    rounds = halving(count, first, epochs, keep, finalists)
    counts = [number for number, _ in rounds]
    assert counts[0] == count
    assert all(a > b > finalists for a, b in pairwise(counts))
    assert [reached for _, reached in rounds] == [first + epochs * i for i in range(len(rounds))]
