"""The seven hypotheses on tables made up so that the answer can be had by hand."""

import numpy as np
import pytest

from hyperprune.bench.early import PREREGISTERED
from hyperprune.bench.hypotheses import fails, holm, verdicts
from hyperprune.bench.resample import hierarchical, of_configurations, of_noise, of_seeds
from hyperprune.bench.together import section

N = 20
UP = [float(k) for k in range(1, N + 1)]  # ranks the end exactly
DOWN = UP[::-1]  # the other way round
# Rows in pairs, the better one first in every other pair alone: no correlation to speak of.
NONE = [float(1 + (k * 7) % N) for k in range(N)]


def table(name, *, regrets=None, ranks=None, spread=4.0):
    """A whole table of 20 configurations and 4 seeds; every search loses 2 σ unless told otherwise.

    regrets: search → σ by seed. ranks: objective → order of the configurations, best first.
    """
    objectives = [item.name for item in PREREGISTERED]
    told = {f"{name}{hedge}, ax": [2.0] * 4 for name in objectives for hedge in ("", "+hedge")}
    told |= {"stop after 2": [3.0] * 4, "stop after 5": [2.0] * 4} | (regrets or {})
    order = dict.fromkeys([*objectives, "exploration"], UP) | (ranks or {})
    return {
        "table": name,
        "facts": {
            "configurations": N,
            "failed": 0,
            "noise_degrees": 6,
            "spread_over_noise": spread,
            "meet_target": 0,
            "noise": 0.1,
        },
        "final": UP,
        "objectives": {key: {"ranks": value} for key, value in order.items()},
        "replay": {
            "methods": {
                key: {
                    "objective": key.split(",")[0].removesuffix("+hedge"),
                    "searcher": "ax" if key.endswith("ax") else None,
                    "hedge": "+hedge" in key,
                    "epochs": 100.0,
                    "regrets": value,
                    "rescued": value,
                    "rescue": [0.0] * 4,
                    "finished": [[0, 1]] * 4,
                }
                for key, value in told.items()
            }
        },
    }


def test_claims_that_every_resample_bears_out_hold():
    """All effects are the same for every seed and table, so p is 1 in 2,001, and 7 in 2,001 corrected."""
    regrets = {
        "gated, ax": [1.0] * 4,  # 1 σ below loss: 3
        "gated+hedge, ax": [1.0] * 4,
        "distance, ax": [3.5] * 4,  # 1.5 σ above it, as both: 2
        "both, ax": [3.5] * 4,
        "both+hedge, ax": [3.5] * 4,
        "distance+hedge, ax": [3.0] * 4,  # and half a σ less with a hedge: 4
    }
    ranks = {"distance_raw": DOWN, "loss": DOWN, "lost": NONE, "exploration": NONE}
    found = verdicts(
        [table(name, regrets=regrets, ranks=ranks) for name in ("ptb_training", "gru")]
    )
    assert [each.number for each in found] == [1, 2, 3, 4, 5, 6, 7]
    for each in found:
        if each.number != 6:  # of configurations drawn anew, some correlate by chance
            assert each.standing == "holds", each.claim
            assert each.p == pytest.approx(1 / 2001)
    first = found[0].parts[0]
    assert first.pooled == (-2.0, -2.0, -2.0)  # from 1 for the clipped to −1 for the raw
    assert first.tables == {"ptb_training": (-2.0, -2.0, -2.0), "gru": (-2.0, -2.0, -2.0)}
    assert found[4].parts[0].part.what == "stop after 5 less loss"


def test_claims_that_no_resample_bears_out_are_not_shown():
    """Nothing differs, so what should be lower never is: p is 1; only the bounds of 4 and 5 are kept."""
    found = verdicts([table("ptb_training"), table("gru")])
    assert [each.p for each in found] == [1, 1, 1, 1, pytest.approx(1 / 2001), 1, 1]
    assert [each.standing for each in found] == ["not shown"] * 4 + ["holds"] + ["not shown"] * 2


def test_a_claim_on_every_table_fails_by_one_of_them():
    """Pooled, gated loses 2 σ less; on `b` by itself 0.75 σ more."""
    tables = [
        table("a", regrets={"gated, ax": [-2.75] * 4}),
        table("b", regrets={"gated, ax": [2.75] * 4}),
    ]
    pooled, each = verdicts(tables)[2].parts
    assert pooled.pooled[0] == -2.0
    # Lower in three of four draws of two tables: (a, a), (a, b), (b, a).
    assert pooled.p == pytest.approx(1 / 4, abs=0.03)
    assert each.p == 1.0


def test_what_the_primary_pool_cannot_tell_is_said_to_be_not_testable():
    tables = [table("pydoc"), table("ptb_training"), table("gru", spread=2.0)]
    found = verdicts(tables)
    assert [each.number for each in found if each.standing != "not testable"] == [2]
    assert found[0].why == "the primary pool has 1 of the 2 tables that it takes"
    assert found[0].p is None
    # What each table says by itself is there all the same.
    assert found[0].parts[0].tables["pydoc"] == (0.0, 0.0, 0.0)
    assert verdicts(tables[:1])[1].why == "no primary table `ptb_training`"
    text = "\n".join(section(tables))
    assert text.count("**Not testable**") == 6
    unasked = [table("a"), table("b")]
    del unasked[0]["replay"]["methods"]["gated, ax"]
    assert "--every" in verdicts(unasked)[2].why


def test_holms_correction():
    # 0.01 × 4, then 0.02 × 3, 0.03 × 2 (no less than the one before), 0.5 × 1.
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.5, 0.4]) == [0.8, 0.8]


def test_p_counts_the_draws_that_do_not_lie_below():
    assert fails(np.array([-1.0, 0.0, 1.0]), 0.0) == 3 / 4  # two of three, and the data themselves


def test_tables_are_drawn_and_then_seeds_within_them():
    """Table means 0 and 1: the mean of two tables drawn is 0, ½ and 1 in the shares 1 : 2 : 1."""
    one, two = of_seeds(np.array([[0.0, 0.0]])), of_seeds(np.array([[1.0, 1.0, 1.0]]))
    (draws,) = hierarchical([one, two])
    shares = [float((draws == value).mean()) for value in (0.0, 0.5, 1.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    # Seeds 0 and 1 of one table: the same.
    (draws,) = hierarchical([of_seeds(np.array([[0.0, 1.0]]))])
    assert [float((draws == v).mean()) for v in (0.0, 0.5, 1.0)] == pytest.approx(
        [0.25, 0.5, 0.25], abs=0.03
    )


def test_correlations_are_paired_and_a_constant_order_has_none():
    order = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [2.0, 2.0, 2.0]])
    draws = of_configurations(order, np.array([0.1, 0.2, 0.3]))(np.random.default_rng(0), 50)
    assert (draws[0] == -draws[1]).all()
    assert (draws[2] == 0).all()


def test_noise_drawn_anew_over_a_table_that_is_all_noise():
    """Two rows whose spread is below the noise are alike: either is best in half of the draws.

    Who finished both never loses; who finished one loses E|a − b| / 2 = σ/√π in the mean.
    """
    finished = [[[0, 1]], [[0]]]
    both, one = of_noise(finished, np.array([1.0, 1.1]), 0.1)(np.random.default_rng(0), 4000)
    assert (both == 0).all()
    assert one.mean() == pytest.approx(1 / np.pi**0.5, abs=0.05)
