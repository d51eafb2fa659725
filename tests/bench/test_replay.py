import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import study

from hyperprune.bench.early import PREREGISTERED, Early, features, learned, sensitivities
from hyperprune.bench.evidence import correlations, evidence
from hyperprune.bench.methods import BY_LOSS, Method, baselines, budget, by, methods, plan
from hyperprune.bench.replay import Replayer, random_order, regret_at, replay, replay_within
from hyperprune.bench.report import section
from hyperprune.bench.signals import LOSS
from hyperprune.bench.summary import processes
from hyperprune.errors import RunError

HIDDEN = Early("distance_hidden", "distance", shown="hidden")
DISTANCE = by(HIDDEN, "random")


def test_a_signal_that_tells_all_finds_the_best_of_its_pool():
    whole = study(worth=1.0)
    for seed in range(5):
        trace = replay_within(whole, DISTANCE, 1e9, 12, seed)
        assert whole.final[trace.chosen] == whole.final.min()
        assert regret_at(whole, trace, trace.epochs) == 0.0


def test_epochs_are_counted_as_the_rounds_say_with_what_the_objective_uses():
    # 12 to epoch 3, 6 to 6, 3 to 9, 2 to 20: 36 + 18 + 9 + 22 epochs, a tenth more for spectra, and
    # the dense reference's 20.
    whole = study()
    assert budget(whole, 12) == pytest.approx(20 + 1.1 * 85)
    trace = replay(whole, DISTANCE, 12, 0)
    expected = [20 + 1.1 * e for e in (*range(3, 37, 3), 54, 63, 85)]
    assert [epochs for epochs, _ in trace.steps] == pytest.approx(expected)
    assert math.isnan(regret_at(whole, trace, 23))
    assert regret_at(whole, trace, 24) >= 0


def test_a_search_by_loss_alone_has_the_larger_pool_that_it_can_afford():
    # 113.5 epochs: 17 to epoch 3, 9 to 6, 5 to 9, 3 to 12, 2 to 20 are 51 + 27 + 15 + 9 + 16 = 118;
    # 16, 8, 4 and 2 are 48 + 24 + 12 + 22 = 106.
    whole = study()
    trace = replay(whole, by(BY_LOSS, None), 12, 0)
    assert trace.epochs == 106
    assert len({row for _, row in trace.steps}) <= 16


def test_no_method_spends_more_than_its_budget_and_each_repeats():
    whole = study(worth=0.5)
    compared = [method for method in methods(whole, ["random"]) if not method.library]
    names = [method.name for method in compared]
    assert len(set(names)) == len(names)
    assert "loss+hedge, random pool" not in names  # by loss there is nothing to hedge
    told = {"loss, random", "both+hedge, random", "gated+hedge, random pool", "stop after 3"}
    assert told <= set(names)
    assert "gated, random" not in names
    assert "gated, random" in [method.name for method in methods(whole, ["random"], every=True)]
    for method in compared:
        trace = replay(whole, method, 12, 4)
        assert trace == replay(whole, method, 12, 4)
        limit = 12 * 20 if method.whole else budget(whole, 12)
        assert trace.epochs <= limit + 1e-9
        epochs = [spent for spent, _ in trace.steps]
        assert epochs == sorted(epochs)


def test_objectives_are_asked_as_a_run_asks_them():
    whole = study()
    both = next(item for item in PREREGISTERED if item.name == "both")
    loss, distance = whole.signals[LOSS][:, 2], whole.signals["l2 full"][:, 2]
    rows = [3, 7, 11]
    by_hand = [
        1 + sum(loss[o] < loss[r] for o in rows) + 1 + sum(distance[o] < distance[r] for o in rows)
        for r in rows
    ]
    assert both.scores(whole, rows, 3) == by_hand


def test_stopping_early_trains_the_best_of_all_to_the_end():
    # 113.5 epochs: 31 rows to epoch 3 and one of them 17 epochs further are 110; the table has 24.
    whole = study(worth=1.0)
    method = next(item for item in baselines(whole) if item.name == "stop after 3")
    trace = replay(whole, method, 12, 0)
    assert trace.epochs == 24 * 3 + 17
    assert trace.chosen == int(whole.signals[LOSS][:, 2].argmin())
    assert trace.met is None


def test_successive_halving_keeps_a_share_and_trains_it_longer():
    # η = 3 from epoch 3: 18 rows to 3, 6 to 9, 2 to the end.
    whole = study()
    halving = Method("sha", None, brackets=(3,), eta=3)
    assert plan(whole, halving, 18) == (((18, 3), (6, 9)), 2)


def test_a_target_counts_as_met_when_a_network_that_meets_it_has_trained_to_the_end():
    whole = study()
    easy = replace(whole, dense=replace(whole.dense, valid_losses=[*[9.0] * 19, whole.final.max()]))
    trace = replay(easy, Method("full", None, stop=20), 12, 0)
    assert trace.met == 20  # the first one trained
    assert replay(whole, Method("full", None, stop=20), 12, 0).met is None


def test_a_row_that_diverged_costs_what_it_trained_and_is_never_kept():
    whole = study()
    loss = whole.signals[LOSS].copy()
    first = random_order(whole, 0)[0]
    loss[first, 1:] = math.nan  # one epoch, then nothing
    final = whole.final.copy()
    final[first] = math.inf
    broken = replace(whole, signals={**whole.signals, LOSS: loss}, final=final)
    one = Replayer(broken, by(BY_LOSS, None), 0)
    one.train(first, 3)
    assert one.spent == 1
    rows = random_order(whole, 0)[:4]
    assert first not in one.keep(rows, 3, 3)
    for method in methods(broken, ["random"]):
        if not method.library:
            assert replay(broken, method, 12, 0).chosen != first, method.name


def test_a_search_whose_finalist_diverged_goes_on_with_whom_it_let_go():
    whole = study()
    loss, final = whole.signals[LOSS].copy(), whole.final.copy()
    order = random_order(whole, 0)
    first, second = order[0], order[1]
    loss[first, 0], loss[second, 0] = -9.0, -8.0  # the lowest two after one epoch
    loss[first, 1:] = math.nan
    final[first] = math.inf
    broken = replace(whole, signals={**whole.signals, LOSS: loss}, final=final)
    trace = replay_within(broken, Method("stop", None, stop=1), 1e9, 12, 0)
    assert trace.chosen == second
    assert trace.finished == (second,)
    assert trace.epochs == 24 + 19  # one epoch of all 24, and 19 more of one


def test_what_is_learned_on_other_tables_orders_this_one():
    own, others = study(seed=0, worth=0.9), [study(seed=k, worth=0.9) for k in (1, 2, 3)]
    fitted = learned(own, others)
    rows = list(range(len(own.rows)))
    assert features(own, rows, 3).shape == (24, 7)
    order = np.argsort(fitted.scores(own, rows, 3))
    assert own.final[order[0]] < np.median(own.final)
    weights = np.array(fitted.weights[2])
    assert int(weights.argmax()) == 4  # the hidden distance is what tells most


def test_full_trainings_choose_the_best_of_what_they_trained():
    whole = study()
    trace = replay(whole, Method("full", None, stop=20), 12, 0)
    assert trace.epochs == 100  # five trainings of 20 epochs fit into 113.5
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

    found = told(100.0)
    assert told(100.0) == found
    text = "\n".join(section(found))
    assert "Within the noise floor of it" in text
    assert "Worse by more than the noise floor" not in text
    assert "Worse by more than the noise floor" in "\n".join(section(told(1e-6)))


def test_replays_in_processes_are_the_same():
    whole = study(worth=0.5)
    found = []
    for workers in (1, 2):
        with processes(workers) as mapped:
            found.append(
                evidence(whole, seeds=2, candidates=6, searchers=["random"], mapped=mapped)
            )
    assert found[0] == found[1]


def test_a_searcher_is_told_of_the_rows_that_stand_for_its_proposals():
    whole = study(worth=1.0)
    trace = replay(whole, by(HIDDEN, "ax"), 9, 1)
    assert trace.epochs == pytest.approx(budget(whole, 9))
    assert regret_at(whole, trace, trace.epochs) <= regret_at(whole, trace, 24)


def test_a_page_shows_hostile_names_as_text():
    from hyperprune.bench.figures import regrets
    from hyperprune.bench.report import findings

    found = evidence(study(), seeds=2, candidates=6, searchers=["random"])
    methods_ = found["replay"]["methods"]
    methods_["<script>alert(1)</script>"] = methods_.pop("loss, random pool")
    figure = regrets(found["replay"], 0.1)
    assert "alert(1)</script>" not in figure.to_html(full_html=False, include_plotlyjs=False)
    assert any("noise" in line for line in findings(found))


def test_no_figures_without_a_noise_floor():
    with pytest.raises(RunError, match="no noise floor"):
        evidence(study(noise=math.nan), seeds=1, searchers=["random"])


def test_a_rescue_trains_on_whoever_went_out_with_a_lower_loss():
    """Distance keeps the worst, and the best by far has its end's loss from the first epoch on."""
    whole = study(worth=1.0)
    best, loss = int(whole.final.argmin()), whole.final[:, None] + np.ones((24, 20))
    loss[:, -1] = whole.final
    loss[best] = whole.final[best] - 0.001 * np.arange(20)[::-1] + 0.02
    final = loss[:, -1]
    upside = {name: -values for name, values in whole.distances.items()}
    wrong = replace(whole, signals={LOSS: loss}, distances=upside, final=final)
    trace = replay_within(wrong, by(HIDDEN, None), 1e9, 12, 0)
    assert best not in trace.finished
    assert trace.rescued == (best,)
    assert trace.rescue == pytest.approx(1.1 * 17)  # went out after 3 of 20 epochs
    hedged = replay_within(wrong, by(HIDDEN, None, hedge=True), 1e9, 12, 0)
    assert best in hedged.finished
    assert hedged.rescued == ()


def test_a_method_is_told_what_another_has_asked():
    whole, asked = study(worth=0.8), {}
    plain = replay(whole, by(HIDDEN, "random"), 12, 3, asked)
    known = dict(asked)
    hedged = replay(whole, by(HIDDEN, "random", hedge=True), 12, 3, asked)
    assert asked == known  # the same questions: both propose before any round
    assert plain == replay(whole, by(HIDDEN, "random"), 12, 3)
    assert hedged == replay(whole, by(HIDDEN, "random", hedge=True), 12, 3)


def test_what_uses_the_dense_curve_is_charged_for_it():
    named = {item.name: item for item in PREREGISTERED}
    assert named["power_law"].needs == {"dense"}
    assert named["relative"].needs == {"dense"}
    assert not named["loss"].needs
    assert not named["tse_ema"].needs


def test_what_is_reported_beside():
    names = {item.name: item for item in sensitivities()}
    assert dict(names["gated, τ = 0.05"].options) == {"tolerance": 0.05}
    whole = study(worth=1.0)
    rows = [3, 7, 11]
    hidden = names["l2 hidden"].scores(whole, rows, 3)
    assert hidden == whole.signals["l2 hidden"][rows, 2].tolist()
    assert "l2 full, final" in names


def test_a_library_of_many_fidelities_keeps_its_budget_and_repeats():
    pytest.importorskip("smac")
    whole = study(worth=1.0)
    method = Method("SMAC3", None, library=True)
    trace = replay(whole, method, 12, 1)
    assert trace == replay(whole, method, 12, 1)
    assert trace.epochs <= budget(whole, 12)
    assert trace.chosen in trace.finished
    tight = replay_within(whole, method, 20.0, 12, 1)  # one full training and nothing beside
    assert len(tight.finished) == 1
    assert tight.epochs == 20
