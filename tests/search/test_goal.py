"""Fronts, who comes first, who wins: drawn small enough to see."""

from hypothesis import given
from hypothesis import strategies as st

from hyperprune.search.goal import Point, fronts, ordered, winner

#  score
#   5 | 0
#   4 |   1     5
#   3 |       2
#   2 |         3   6
#   1 |             4
#     +--------------- size
POINTS = [Point(5, 1), Point(4, 2), Point(3, 4), Point(2, 5), Point(1, 7), Point(4, 5), Point(2, 7)]


def test_fronts_are_whom_nobody_beats_then_whom_only_those_beat():
    assert fronts(POINTS) == [[0, 1, 2, 3, 4], [5, 6]]
    assert fronts([Point(1, 1), Point(1, 1)]) == [[0, 1]]  # equals do not beat each other
    assert fronts([]) == []


def test_with_a_bound_the_nearest_of_a_front_come_first():
    assert ordered(POINTS, 2.9) == [2, 3, 1, 4, 0, 6, 5]


def test_without_a_bound_ends_come_first_then_who_has_room():
    # room of 1: size (4 - 1)/6 + score (5 - 3)/4 = 1; of 2: 3/6 + 2/4 = 1; of 3: 3/6 + 2/4 = 1
    assert ordered(POINTS, None) == [0, 4, 1, 2, 3, 5, 6]
    near = [Point(5, 1), Point(4.9, 1.1), Point(3, 4), Point(1, 7)]
    assert ordered(near, None) == [0, 3, 2, 1]


def test_the_smallest_that_meets_the_target_wins_else_the_best():
    points = {f"c{i}": point for i, point in enumerate(POINTS)}
    assert winner(points, "perplexity", 3) == "c4"
    assert winner(points, "smallest", 3) == winner(points, "frontier", 3) == "c2"
    assert winner(points, "smallest", 0.5) == "c4"  # nobody meets it


coordinate = st.integers(0, 5)


@given(st.lists(st.tuples(coordinate, coordinate), max_size=12), st.none() | st.integers(0, 5))
def test_everybody_has_a_place_and_nobody_comes_before_who_beats_him(pairs, bound):
    points = [Point(score, size) for score, size in pairs]
    order = ordered(points, bound)
    assert sorted(order) == list(range(len(points)))
    for place, i in enumerate(order):
        assert not any(points[j].beats(points[i]) for j in order[place + 1 :])
