"""What several seeds say together, held against scipy and against samples small enough to work out."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats

from hyperprune.errors import RunError
from hyperprune.judgement.arms import Arm, Training
from hyperprune.judgement.sheets import interval, rows_of, sheet_of, spread
from hyperprune.judgement.statistics import Summary, paired, summary
from hyperprune.judgement.study import figures_of
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.terms.sheet import Sheet, cell, comma_separated, latex, markdown

TEXT = PERPLEXITY.text
ROOT = Path(__file__).resolve().parents[2]
NUMBER = st.integers(10, 10_000).map(lambda number: number / 8)
"""Perplexities with room between them."""


def test_by_hand():
    # 1, 2, 3: mean 2, standard deviation 1; t(0.975, 2) = 4.3027, so ± 4.3027 / √3
    found = summary([1.0, 2.0, 3.0])
    assert (found.count, found.mean, found.std) == (3, 2.0, 1.0)
    assert math.isclose(found.high - 2, 4.302652729 / math.sqrt(3), rel_tol=1e-9)
    # seeds 1 and 2 in common: 5 − 1, 5 − 3
    assert paired({1: 5.0, 2: 5.0, 3: 9.0}, {2: 3.0, 1: 1.0}).mean == 3.0


def test_of_one_value_nothing_is_invented():
    assert summary([4.0]) == Summary(1, 4.0, None, None, None)
    assert summary([]) == Summary(0, None, None, None, None)
    assert (spread(summary([4.0]), TEXT), interval(summary([4.0]), TEXT)) == ("4.00", "+4.00")


@settings(deadline=None, max_examples=50)
@given(
    st.lists(  # no two alike: scipy warns of samples without a spread
        st.tuples(NUMBER, NUMBER),
        min_size=2,
        max_size=8,
        unique_by=(lambda pair: pair[0], lambda pair: pair[0] - pair[1]),
    )
)
def test_as_scipy_has_it(pairs):
    a, b = ({seed: pair[side] for seed, pair in enumerate(pairs)} for side in (0, 1))
    found = summary([*a.values()])
    assert math.isclose(found.mean, stats.tmean([*a.values()]), rel_tol=1e-9)
    assert math.isclose(found.std, stats.tstd([*a.values()]), rel_tol=1e-6, abs_tol=1e-9)
    difference = paired(a, b)
    held = stats.ttest_rel([*a.values()], [*b.values()]).confidence_interval(0.95)
    assert math.isclose(difference.low, held.low, rel_tol=1e-6, abs_tol=1e-6)
    assert math.isclose(difference.high, held.high, rel_tol=1e-6, abs_tol=1e-6)


def test_the_recorded_study_as_scipy_has_it_and_as_the_readme_prints_it():
    recorded = json.loads((ROOT / "benchmarks" / "results" / "methods.json").read_text("utf-8"))
    arms = TypeAdapter(tuple[Arm, ...]).validate_python(recorded["arms"])
    readme = (ROOT / "README.md").read_text("utf-8")
    dense, *others = figures_of(arms, {})
    reference = [*arms[0].values("valid").values()]
    for item, found in zip(arms[1:], others, strict=True):
        values = [*item.values("valid").values()]
        held = stats.ttest_rel(values, reference).confidence_interval(0.95)
        assert math.isclose(found.valid.std, stats.tstd(values), rel_tol=1e-9)
        assert math.isclose(found.valid_difference.low, held.low, rel_tol=1e-9)
        assert math.isclose(found.valid_difference.high, held.high, rel_tol=1e-9)
        shown = (
            spread(found.valid, TEXT),
            spread(found.test, TEXT),
            interval(found.valid_difference, TEXT),
        )
        assert f"| {item.name} | 3 | {' | '.join(shown)} |" in readme
    assert f"| dense | 3 | {spread(dense.valid, TEXT)} | {spread(dense.test, TEXT)} |" in readme


def arm(name, candidate, values, failed=()):
    trainings = [
        Training(f"{candidate}-{seed}", seed, 2, value, value + 1, 2, 5, 10, {"w": 0.5}, 0.75)
        for seed, value in values.items()
    ]
    trainings += [Training(f"{candidate}-{seed}", seed, 1, cause="diverged") for seed in failed]
    return Arm(name, candidate, {}, tuple(trainings))


def test_an_arm_that_lost_a_seed_is_compared_over_those_that_are_left():
    arms = [
        arm("dense", "dense", {1: 10.0, 2: 20.0, 3: 30.0}),
        arm("set", "c000", {1: 11.0, 2: 22.0}, failed=[3]),
    ]
    seconds = {"c000-1": {1: 2.0, 2: 3.0}, "c000-2": {1: 4.0}}  # the second is not whole
    _, found = figures_of(arms, seconds)
    assert (found.valid.mean, found.valid_difference.mean, found.valid_difference.count) == (
        16.5,
        1.5,
        2,
    )
    assert (found.failed, found.cause) == (1, "diverged")
    assert found.seconds == Summary(1, 5.0)
    assert (found.density.mean, found.densities["w"].mean, found.exploration.mean) == (
        0.5,
        0.5,
        0.75,
    )
    with pytest.raises(RunError, match="did you mean 'dense'"):
        figures_of(arms, {}, against="dens")


def test_formats():
    sheet = Sheet(("a|b", "n"), [("x_1 & 50 %", "1.0 ± 0.5")])
    assert markdown(sheet) == "| a\\|b | n |\n| --- | ---: |\n| x_1 & 50 % | 1.0 ± 0.5 |"
    assert cell(r"*x* _y_ a_b [l](u) `c` ~d~ \*e <f>") == (
        r"\*x\* \_y\_ a_b \[l](u) \`c\` \~d\~ \\\*e &lt;f>"
    )
    assert latex(sheet).splitlines()[5] == r"x\_1 \& 50 \% & 1.0 $\pm$ 0.5 \\"
    assert comma_separated(["a", "b"], [['x,"', None]]) == 'a,b\n"x,""",'
    figures = figures_of([arm("dense", "dense", {1: 2.0}), arm("a", "c000", {1: 3.0})], {})
    heads, rows = rows_of(figures)
    assert dict(zip(heads, rows[1], strict=True))["valid_difference_mean"] == 1.0
    assert dict(zip(heads, rows[1], strict=True))["valid_difference_low"] is None
    assert sheet_of(figures, PERPLEXITY).rows[1][:5] == ("a", "1", "3.00", "4.00", "+1.00")
    signed = Metric("skill", "skills", form=" .2f")
    assert sheet_of(figures, signed).rows[1][4] == "+1.00"


def test_time_is_of_trainings_that_came_to_their_end():
    # 1 + 1 + 1 and 2 + 2 + 2 seconds; the third failed in its third epoch, after 9 + 9
    ends = [("c000", 3, None), ("c000-s2", 3, None), ("c000-s3", 2, "diverged")]
    arm = Arm(
        "dense",
        "dense",
        {},
        tuple(Training(n, k, e, cause=c) for k, (n, e, c) in enumerate(ends, 1)),
    )
    took = {"c000": 1.0, "c000-s2": 2.0, "c000-s3": 9.0}
    seconds = {name: dict.fromkeys(range(1, e + 1), took[name]) for name, e, _ in ends}
    (found,) = figures_of([arm], seconds)
    assert (found.seconds.count, found.seconds.mean, found.failed) == (2, 4.5, 1)
