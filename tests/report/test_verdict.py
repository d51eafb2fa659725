"""The verdict in plain words, and what settings mean."""

from pathlib import Path

from hyperprune import figures
from hyperprune.report.words import looked_better, meaning, verdict

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
