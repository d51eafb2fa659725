import pytest
from hyperprune_optuna import tpe

from hyperprune.search.observation import Observation
from hyperprune.search.space import Dimension, Range, Space
from hyperprune.testing import check, check_in_run, contributions


@pytest.mark.parametrize("item", contributions("hyperprune-optuna"), ids=str)
def test_contract(item):
    check(item)
    check_in_run(item)


LINE = Space((Dimension("x", Range(0.0, 1.0)),))


def history(values):
    return tuple(Observation({"x": x}, (x - 0.7) ** 2) for x in values)


def test_the_model_searches_where_it_was_good():
    grid = [i / 20 for i in range(21)]
    near = [tpe(LINE, history(grid), (), seed)["x"] for seed in range(10)]
    assert sum(0.5 < x < 0.9 for x in near) >= 8


def test_failures_count_as_the_worst():
    grid = history([i / 10 for i in range(11)])
    failed = tuple(Observation({"x": 0.6 + i / 100}, None, failed="diverged") for i in range(20))
    near = [tpe(LINE, grid + failed, (), seed)["x"] for seed in range(10)]
    assert sum(0.58 < x < 0.82 for x in near) < 10
