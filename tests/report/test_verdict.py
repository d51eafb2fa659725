"""The verdict in plain words, and what settings mean."""

from dataclasses import replace
from pathlib import Path

from hyperprune import figures
from hyperprune.judgement.margin import margin
from hyperprune.report.words import SINGLE, looked_better, meaning, noise, verdict

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"


def test_the_verdict_says_by_how_much_and_at_what_cost():
    view = figures.look(RECORDED)
    result = view.now.result
    said = " ".join(verdict(result, view.histories))
    best = result.best
    assert (
        f"{result.winner} won with a validation perplexity of {best.valid_perplexity:.2f}" in said
    )
    gap = best.valid_perplexity - result.dense_perplexity
    assert f"{abs(gap):.2f} {'worse' if gap > 0 else 'better'} than the dense network" in said
    assert f"the search took {result.search_epochs} epochs" in said


def test_over_seeds_means_are_told_and_what_is_known_of_chance():
    view = figures.look(RECORDED)
    result = replace(
        view.now.result,
        values=(90.0, 160.0),  # the first of them is below every other finalist, their mean is not
        dense_values=(100.0, 121.0),
        margin=margin([4.4998, 5.0752], [4.6052, 4.7958]),
    )
    said = verdict(result, view.histories)[0]
    # geometric means, as those of losses are: √(90 · 160) = 120, √(100 · 121) = 110
    assert said.startswith(
        f"{result.winner} won with a validation perplexity of 120.00, the mean over 2 seeds; "
        "with 33% of the masked weights it is 10.00 worse than the dense network."
    )
    assert noise(result).startswith("Over 2 seeds: 90.00, 160.00; dense 100.00, 121.00: +9.1 %")
    assert noise(replace(result, margin=margin([4.5], [4.6]))) == ""
    assert noise(view.now.result) == SINGLE


def test_who_reads_as_good_is_not_beaten():
    view = figures.look(RECORDED)
    own = view.now.result
    alike = tuple(
        replace(item, valid_value=own.best.valid_value + 0.001)
        if item.state == "finalist"
        else item
        for item in own.candidates
    )
    said = verdict(replace(own, candidates=alike), view.histories)[0]
    assert f"{own.best.valid_value:.2f}, as good as c005, the next" in said


def test_a_given_target_is_no_dense_network():
    view = figures.look(RECORDED)
    result = replace(view.now.result, dense_test_value=None, dense_values=(90.0,), active=4_000)
    said = verdict(result, view.histories)[0]
    assert said.endswith(
        "with 0.473% of the masked weights it is 5.11 worse than the given target."
    )


def test_what_looked_better_is_compared_at_the_same_epoch():
    view = figures.look(RECORDED)
    result = view.now.result
    won = view.histories[result.winner].value
    expected = [
        item.name
        for item in result.candidates
        if item.state == "eliminated" and view.histories[item.name].value[-1] < won[item.epochs - 1]
    ]
    assert looked_better(result, view.histories) == expected


def test_settings_mean_what_their_record_says():
    assert "gradient norm" in meaning("train.clip")
    assert meaning("no.such") == "no.such"
