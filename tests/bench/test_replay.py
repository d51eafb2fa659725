import math

import pytest
from synthetic import study

from hyperprune.bench.evidence import correlations, evidence
from hyperprune.bench.replay import Method, budget, methods, regret_at, replay, scores
from hyperprune.bench.report import section
from hyperprune.bench.signals import LOSS
from hyperprune.errors import RunError

DISTANCE = Method("distance, random", "random", ("l2 hidden",))


def test_a_signal_that_tells_all_finds_the_best_of_its_pool():
    whole = study(worth=1.0)
    for seed in range(5):
        trace = replay(whole, DISTANCE, len(whole.rows), seed)
        assert whole.final[trace.chosen] == whole.final.min()
        assert regret_at(whole, trace, trace.epochs) == 0.0


def test_epochs_are_counted_as_the_rounds_say():
    # 12 to epoch 3, 6 to 6, 3 to 9, 2 to 20: 36 + 18 + 9 + 22 epochs.
    whole = study()
    assert budget(whole, 12) == 85
    trace = replay(whole, DISTANCE, 12, 0)
    assert [epochs for epochs, _ in trace.steps] == [*range(3, 37, 3), 54, 63, 85]
    assert math.isnan(regret_at(whole, trace, 2))
    assert regret_at(whole, trace, 3) >= 0


def test_no_method_spends_more_than_its_budget_and_each_repeats():
    whole = study(worth=0.5)
    compared = methods(whole, ["random"])
    assert [method.name for method in compared] == [
        "loss, random",
        "l2 hidden, random",
        "l2 full, random",
        "loss and l2 hidden, random",
        "loss and l2 full, random",
        "Hyperband on loss",
        "full trainings at random",
        "full search",
    ]
    for method in compared:
        trace = replay(whole, method, 12, 4)
        assert trace == replay(whole, method, 12, 4)
        assert trace.epochs <= (12 * 20 if method.whole else budget(whole, 12))
        epochs = [spent for spent, _ in trace.steps]
        assert epochs == sorted(epochs)


def test_several_signals_count_by_ranks_among_those_compared():
    whole = study()
    both = Method("both", "random", (LOSS, "l2 hidden"))
    loss, distance = whole.signals[LOSS][:, 2], whole.signals["l2 hidden"][:, 2]
    rows = [3, 7, 11]
    by_hand = [
        1 + sum(loss[o] < loss[r] for o in rows) + 1 + sum(distance[o] < distance[r] for o in rows)
        for r in rows
    ]
    assert scores(whole, both, rows, 3) == by_hand


def test_full_trainings_choose_the_best_of_what_they_trained():
    whole = study()
    trace = replay(whole, Method("full", None, (LOSS,), ()), 12, 0)
    assert trace.epochs == 80  # four trainings of 20 epochs fit into 85
    finals = [whole.final[row] for _, row in trace.steps]
    assert finals == sorted(finals, reverse=True)


def test_evidence_prefers_the_signal_that_knows_and_says_so():
    whole = study(worth=0.9)
    found = correlations(whole)
    distance = found["l2 hidden"][2]["spearman"]
    loss = found[LOSS][2]["spearman"]
    assert distance[1] > loss[2]  # the intervals do not even overlap
    assert set(found["l2 hidden"][0]["within"]) == {
        "prune.init",
        "prune.removal",
        "prune.growth",
        "prune.removal_rate",
    }


def test_the_report_of_a_study_is_the_same_twice_and_claims_nothing_inside_the_noise():
    def told(noise):
        whole = study(worth=0.9, noise=noise)
        return evidence(whole, seeds=4, candidates=6, searchers=["random"])

    assert told(100.0) == told(100.0)
    text = "\n".join(section(told(100.0)))
    assert "Within the noise floor of it" in text
    assert "Worse by more than the noise floor" not in text
    assert "Worse by more than the noise floor" in "\n".join(section(told(1e-6)))


def test_replays_in_processes_are_the_same():
    whole = study(worth=0.5)
    one, two = (
        evidence(whole, seeds=2, candidates=6, searchers=["random"], workers=workers)
        for workers in (1, 2)
    )
    assert one == two


def test_a_searcher_is_told_of_the_rows_that_stand_for_its_proposals():
    whole = study(worth=1.0)
    method = next(item for item in methods(whole) if item.name == "l2 hidden, ax")
    trace = replay(whole, method, 9, 1)
    assert trace.epochs == budget(whole, 9)
    assert regret_at(whole, trace, trace.epochs) <= regret_at(whole, trace, 3)


def test_a_page_shows_hostile_names_as_text():
    from hyperprune.bench.figures import regrets
    from hyperprune.bench.report import findings

    found = evidence(study(), seeds=2, candidates=6, searchers=["random"])
    methods_ = found["replay"]["methods"]
    methods_["<script>alert(1)</script>"] = methods_.pop("loss, random")
    figure = regrets(found["replay"], 0.1)
    assert "alert(1)</script>" not in figure.to_html(full_html=False, include_plotlyjs=False)
    assert any("noise" in line for line in findings(found))


def test_no_figures_without_a_noise_floor():
    with pytest.raises(RunError, match="no noise floor"):
        evidence(study(noise=math.nan), seeds=1, searchers=["random"])
