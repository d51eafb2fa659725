from dataclasses import replace

import pytest
from scripted import HOSTILE, plan

from hyperprune.judgement.result import CandidateResult, RunResult, Signal
from hyperprune.judgement.standing import Standing
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.ui import text
from hyperprune.ui.candidates import candidate_rows, candidate_sheet, candidate_table
from hyperprune.ui.costs import plan_facts
from hyperprune.ui.networks import topology_table
from hyperprune.ui.runs import unfinished
from hyperprune.ui.verdict import result_facts


def candidate(name, state, perplexity, **changes):
    base = CandidateResult(
        name=name,
        configuration={"prune.init": "er", "prune.removal": "set", "prune.removal_rate": 0.512345},
        state=state,
        epochs=4,
        distance=0.25,
        distance_error=0.01,
        distance_noise=0.1,
        valid_value=perplexity,
        best_epoch=3,
        met_target=None,
        cause=None,
    )
    return replace(base, **changes)


CANDIDATES = (
    candidate("c000", "eliminated", 80.0, epochs=3),
    candidate("c001", "failed", None, distance=None, cause="the loss is nan", best_epoch=None),
    candidate("c002", "finalist", 71.0),
    candidate(
        *("c003", "winner", 70.0),
        met_target=3,
        lost=12.5,
        dense_lost=3.0,
        exponents=64,
        rests_on=5,
    ),
)
RESULT = RunResult(
    title="tiny",
    winner="c003",
    candidates=CANDIDATES,
    dense_value=72.0,
    dense_test_value=74.0,
    test_value=73.5,
    active=300,
    masked=1000,
    total=1100,
    dense_epochs=4,
    search_epochs=10,
    full_search_epochs=16,
    signal=Signal(4, 0.8, None),
    folder="runs/tiny",
)


def test_the_result_says_what_was_won_and_what_it_cost(rendered):
    lines = [line.rstrip() for line in rendered(result_facts(RESULT), 170).splitlines()]
    assert lines == [
        "winner                 c003",
        "settings               init=er, removal=set, removal_rate=0.512345",
        "validation perplexity  70.00 at epoch 3; dense 72.00; meets the dense target at epoch 3",
        "test perplexity        73.50; dense 74.00",
        "sparsity               0.7000: 300 of 1,000 masked weights are active "
        "(0.6364 of the model's 1,100 are zero)",
        "epochs                 10 for 4 candidates; full training of each takes 16, "
        "1.6 × as many; dense reference 4",
        "LS distance            0.2500 ±0.0100 after epoch 4; halves of one model's own sequences "
        "lie 0.1000 apart; nine tenths of its square rest on 5 of 64 exponents",
        "lost directions        12.5 of 64 exponents; dense 3",
        "early signal           4 survivors of round 1 say nothing of it: fewer than 8",
        "run folder             runs/tiny",
    ]


def test_a_correlation_over_enough_survivors_is_shown(rendered):
    telling = replace(RESULT, signal=Signal(8, 0.8, None))
    assert (
        "rank correlation with the last known perplexity over 8 survivors: LS distance 0.8, loss –"
    ) in rendered(result_facts(telling), 150)


def test_who_went_out_better_than_the_winner_is_named(rendered):
    told = rendered(result_facts(replace(RESULT, overlooked="c001")), 200)
    assert "overlooked             c001 went out after" in told
    assert "final.rescue" in told


def test_tables_for_elsewhere_are_best_first_and_settings_of_rows_are_in_full():
    """By the metric, which is an accuracy here, among those that came as far."""
    accuracy = Metric("accuracy", "accuracies", of="complement")
    found = [
        candidate(name, state, value)
        for name, state, value in (
            ("c000", "finalist", 0.8),
            ("c001", "finalist", 0.9),
            ("c002", "winner", 0.7),
        )
    ]
    assert [row[0] for row in candidate_sheet(found, accuracy).rows] == ["c002", "c001", "c000"]
    heads, rows = candidate_rows(found)
    assert [dict(zip(heads, row, strict=True))["prune.removal_rate"] for row in rows] == [
        "0.512345"
    ] * 3


def test_candidates_are_listed_best_first(rendered):
    lines = rendered(candidate_table(CANDIDATES, 72.0, 150), 150).splitlines()
    assert lines[0].split()[:4] == ["candidate", "init", "removal", "removal_rate"]
    assert [line.split()[0] for line in lines[2:]] == ["c003", "c002", "c000", "c001"]
    assert lines[2].split()[1:] == [
        *("er", "set", "0.5123", "4", "0.2500", "±0.0100", "12.5", "70.00", "epoch", "3", "winner")
    ]
    assert lines[5].rstrip().endswith("failed: the loss is nan")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_table_fits_its_window(rendered, width):
    shown = rendered(candidate_table(CANDIDATES, 72.0, width), width).splitlines()
    assert all(len(line) <= width for line in shown)
    starts = [line.split()[0] for line in shown if line.startswith("c0")]
    assert starts == ["c003", "c002", "c000", "c001"]


def test_no_name_breaks_a_table(rendered):
    hostile = candidate(
        HOSTILE, "failed", None, configuration={HOSTILE: HOSTILE}, cause=HOSTILE, distance=None
    )
    shown = rendered(candidate_table([hostile], None, 400), 400)
    assert shown.replace("\n", "").isprintable()
    assert "[bold red]x[/]" in shown
    facts = result_facts(replace(RESULT, winner=HOSTILE, candidates=(hostile,)))
    assert rendered(facts, 400).replace("\n", "").isprintable()


def test_topology_adds_up(rendered):
    tensor = {
        "name": "rnn.weight_hh_l0",
        "shape": [8, 4],
        "active": 8,
        "ever_active": 16,
        "removed": 2,
        "grown": 2,
        "gates": {"input": 5, "forget": 3},
    }
    topology = {"tensors": [tensor, {**tensor, "name": "encoder.weight", "gates": {}}]}
    lines = rendered(topology_table(topology), 120).splitlines()
    assert lines[2].split() == [
        *("rnn.weight_hh_l0", "8", "×", "4", "32", "8", "0.7500", "2", "2", "0.500"),
        *("input", "5,", "forget", "3"),
    ]
    assert lines[-1].split() == ["all", "64", "16", "0.7500"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (None, ["dense reference  2/8 epochs", "dense target     80.00"]),
        ("weights", ["dense reference  given by dense.weights", "dense target     80.00"]),
        ("run", ["dense reference  given by dense.run", "dense target     80.00"]),
        ("target", ["given target  80.00"]),
    ],
)
def test_an_unfinished_run_says_where_its_target_is_from(rendered, source, told):
    standing = Standing(
        folder="runs/tiny",
        title="tiny",
        epochs=8,
        dense_epochs=0 if source else 2,
        target=80.0,
        candidates=(),
        result=None,
        topology=None,
        dense_from=source,
    )
    lines = [line.rstrip() for line in rendered(unfinished(standing), 80).splitlines()]
    assert [line for line in lines if "dense" in line or "target" in line] == told


def test_the_plan_names_the_saving(rendered):
    shown = rendered(plan_facts(plan()), 100)
    assert "3 candidates, 10 epochs" in shown
    assert "14 epochs" in shown
    assert "12 epochs of candidates, 1.2 × as many" in shown


@pytest.mark.parametrize("width", range(34, 81))
def test_no_number_of_a_narrow_table_is_cut(rendered, width):
    lines = rendered(candidate_table(CANDIDATES, 72.0, width), width, 80).splitlines()
    heads = lines[0].split()
    assert heads[0] == "candidate"
    assert heads[-2:] == ["perplexity", "state"]
    whole = rendered(candidate_table(CANDIDATES, 72.0, 150), 150).splitlines()
    for item in CANDIDATES:
        (row,) = [line.split() for line in lines if line.startswith(f"{item.name} ")]
        (wanted,) = [line.split() for line in whole if line.startswith(f"{item.name} ")]
        shown = [PERPLEXITY.text(item.valid_value)]
        shown += ["0.2500"] * ("distance" in heads and "0.2500" in wanted)
        assert set(shown) <= set(row), (row, shown)


@pytest.mark.parametrize("width", [75, 150])
def test_a_table_without_spectra_has_no_columns_for_them(rendered, width):
    bare = [replace(item, distance=None, distance_error=None, lost=None) for item in CANDIDATES]
    heads = rendered(candidate_table(bare, 72.0, width), width, 80).splitlines()[0]
    assert "distance" not in heads
    assert "lost" not in heads
    assert "distance" in rendered(candidate_table([*bare, *CANDIDATES], 72.0, width), width, 80)


def test_settings_have_one_order_everywhere(rendered):
    """A run's events tell settings as they were drawn, its journal sorted: the screens do not show it."""
    drawn = {"prune.removal": "set", "train.lr": 1.0, "prune.init": "er"}
    live = text.short_names(drawn)
    assert list(live) == list(text.short_names(dict(sorted(drawn.items()))))
    assert list(live.values()) == ["init", "removal", "lr"]
