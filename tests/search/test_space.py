import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune.search.space import Dimension, Range, Space, Values, key_of

#   removal ── magnitude
#          └── mest ── gamma ∈ {0.5, 1.0}
#   growth  ── random | gradient
SMALL = Space(
    (
        Dimension("prune.removal", Values(("magnitude", "mest"))),
        Dimension("prune.removal.gamma", Values((0.5, 1.0)), "prune.removal", ("mest",)),
        Dimension("prune.growth", Values(("random", "gradient"))),
    )
)
MIXED = Space(
    (
        *SMALL.dimensions,
        Dimension("train.lr", Range(1.0, 100.0, log=True)),
        Dimension("train.bptt", Range(5, 9, integer=True)),
        Dimension("model.dropout", Values((0.5,))),
    )
)


def test_a_conditional_space_is_counted_and_listed_once_each():
    listed = list(SMALL.enumerate())
    assert listed == [
        {"prune.removal": "magnitude", "prune.growth": "random"},
        {"prune.removal": "magnitude", "prune.growth": "gradient"},
        {"prune.removal": "mest", "prune.removal.gamma": 0.5, "prune.growth": "random"},
        {"prune.removal": "mest", "prune.removal.gamma": 0.5, "prune.growth": "gradient"},
        {"prune.removal": "mest", "prune.removal.gamma": 1.0, "prune.growth": "random"},
        {"prune.removal": "mest", "prune.removal.gamma": 1.0, "prune.growth": "gradient"},
    ]
    assert SMALL.size == 6


def test_a_continuous_range_makes_a_space_infinite():
    assert MIXED.size is None
    with pytest.raises(ValueError, match="infinite"):
        next(MIXED.enumerate())


def test_a_continuous_child_makes_its_branch_infinite():
    child = Dimension("a.gamma", Range(0.0, 1.0), "a", ("two",))
    assert Space((Dimension("a", Values(("one", "two"))), child)).size is None
    assert Space((Dimension("a", Values(("one",))), child)).size == 1


@pytest.mark.parametrize(
    ("configuration", "inside"),
    [
        ({"prune.removal": "magnitude", "prune.growth": "random"}, True),
        ({"prune.growth": "random", "prune.removal": "magnitude"}, True),
        ({"prune.removal": "magnitude"}, False),  # growth is missing
        ({"prune.removal": "mest", "prune.growth": "random"}, False),  # gamma is missing
        (
            {"prune.removal": "magnitude", "prune.removal.gamma": 0.5, "prune.growth": "random"},
            False,  # gamma is not active
        ),
        (
            {"prune.removal": "mest", "prune.removal.gamma": 0.7, "prune.growth": "random"},
            False,
        ),
        ({"prune.removal": "set", "prune.growth": "random"}, False),
    ],
)
def test_a_configuration_holds_exactly_the_active_settings(configuration, inside):
    assert SMALL.contains(configuration) is inside


def test_integer_ranges_take_integers_only_and_true_is_not_one():
    integers, numbers = Range(1, 3, integer=True), Range(0.5, 2.0)
    assert 2 in integers
    assert 2.0 not in integers
    assert True not in integers
    assert 1 in numbers
    assert float("nan") not in numbers
    assert True not in Values((1,))
    assert list(integers) == [1, 2, 3]


@pytest.mark.parametrize(
    ("domain", "u", "value"),
    [
        (Values(("a", "b", "c", "d")), 0.74, "c"),
        (Range(0.0, 2.0), 0.25, 0.5),
        (Range(1.0, 100.0, log=True), 0.5, 10.0),
        (Range(1, 4, integer=True), 0.0, 1),
        (Range(1, 4, integer=True), 0.999999, 4),
        (Range(1, 3, log=True, integer=True), 0.5, 2),  # 1 · 4^½
    ],
)
def test_a_coordinate_picks_its_share_of_the_domain(domain, u, value):
    assert domain.at(u) == value


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_every_sample_lies_in_the_space(seed):
    configuration = MIXED.sample(random.Random(seed))
    assert MIXED.contains(configuration)
    assert configuration == MIXED.sample(random.Random(seed))


def test_samples_are_uniform_over_a_choice():
    rng = random.Random(0)
    drawn = [SMALL.sample(rng)["prune.removal"] for _ in range(2000)]
    assert 900 < drawn.count("mest") < 1100  # 1000 ± 4.5 standard deviations


def test_key_ignores_order_but_not_value():
    a = {"train.lr": 1.0, "prune.removal": {"name": "mest", "gamma": 0.5}}
    b = {"prune.removal": {"gamma": 0.5, "name": "mest"}, "train.lr": 1.0}
    assert key_of(a) == key_of(b) != key_of({**a, "train.lr": 1.5})


def test_a_child_must_follow_its_parent():
    child = Dimension("a.gamma", Values((1,)), "a", ("one",))
    with pytest.raises(ValueError, match="comes before"):
        Space((child, Dimension("a", Values(("one",)))))
    with pytest.raises(ValueError, match="twice"):
        Space((Dimension("a", Values((1,))), Dimension("a", Values((2,)))))
