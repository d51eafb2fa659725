"""Two tables small enough to pool by hand."""

import pytest

from hyperprune.bench.pooled import pooled, rule, standing


def table(name, rows=20, spread=4.0, freedom=6, **regrets):
    return {
        "table": name,
        "facts": {
            "configurations": rows,
            "failed": 0,
            "noise_degrees": freedom,
            "spread_over_noise": spread,
        },
        "replay": {"methods": {key: {"regrets": values} for key, values in regrets.items()}},
    }


def named(**regrets):
    """Objectives with the default searcher, and what stops after two epochs."""
    names = {"loss": "loss, ax", "both": "both, ax", "gated": "gated, ax", "stop": "stop after 2"}
    return {names[key]: values for key, values in regrets.items()}


def test_the_pooled_regret_is_the_mean_of_the_tables_means():
    # Means 1.5 and 4: 2.75. No resample of seeds lies outside 1 … 4.
    tables = [table("a", **named(loss=[1.0, 2.0])), table("b", **named(loss=[4.0, 4.0]))]
    value, low, high = pooled(tables)["loss, ax"]
    assert value == 2.75
    assert 1.0 <= low < value < high <= 4.0


def test_a_table_decides_only_where_it_is_whole_and_above_its_noise():
    assert standing(table("a")) == "primary"
    assert standing(table("a", rows=19)) == "partial"
    diverged = table("a", rows=19)
    diverged["facts"]["failed"] = 1  # a table holds what diverged, too
    assert standing(diverged) == "primary"
    assert standing(table("a", freedom=3)) == "partial"
    assert standing(table("a", spread=2.9)) == "weak"


def two(**regrets):
    return [table(name, **named(**regrets)) for name in "ab"]


def test_one_table_picks_no_default():
    assert rule(two(loss=[1.0], stop=[1.0], both=[0.0])[:1])["default"] is None
    weak = [table("a", **named(loss=[1.0])), table("b", spread=1.0, **named(loss=[1.0]))]
    assert rule(weak)["default"] is None


@pytest.mark.parametrize(
    ("both", "gated", "expected"),
    [
        ([0.0, 0.0], [2.0, 2.0], "both, ax"),  # the one that gains
        ([0.65, 0.65], [0.6, 0.6], "both, ax"),  # as good within 0.1: the simpler one
        ([0.65, 0.65], [0.2, 0.2], "gated, ax"),
        ([0.8, 0.8], [0.9, 0.9], "loss"),  # more than 0.7 of the baseline's
        ([0.0, 1.2], [5.0, 5.0], "loss"),  # the gain is not sure
    ],
)
def test_the_rule_as_it_was_written_down(both, gated, expected):
    found = rule(two(loss=[1.5, 1.5], stop=[1.0, 1.0], both=both, gated=gated))
    assert found["baseline"] == "stop after 2"
    assert found["default"] == expected


def test_no_default_harms_a_single_table():
    tables = [
        table("a", **named(loss=[4.0, 4.0], stop=[4.0, 4.0], both=[0.0, 0.0])),
        table("b", **named(loss=[0.0, 0.0], stop=[0.0, 0.0], both=[1.5, 1.5])),
    ]
    assert rule(tables)["default"] == "loss"
