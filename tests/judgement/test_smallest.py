"""A run whose goal is a small network: who stays, who wins, what the result says of the trade-off."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from hyperprune.errors import RecipeError
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.result import RunResult
from hyperprune.judgement.standing import recipe_of
from hyperprune.search.goal import Point
from hyperprune.store.run import Run
from hyperprune.testing import tiny_run
from hyperprune.training.outcome import DENSE

SPACE = "space.sparsity=[0.3, 0.5, 0.7, 0.9]"
SETTINGS = (SPACE, "search.candidates=8", "search.searcher=random", "final.finalists=4")


@pytest.fixture(scope="module", params=["smallest", "frontier"])
def result(request, tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("goal"), f"search.goal={request.param}", *SETTINGS)


def test_the_frontier_is_of_finalists_whom_nobody_beats(result):
    known = {item.name: item for item in result.candidates}
    sizes = [point.active for point in result.frontier]
    assert sizes == sorted(sizes)
    assert result.frontier
    for point in result.frontier:
        own = known[point.name]
        assert own.state in ("winner", "finalist")
        assert point.sparsity == pytest.approx(own.configuration["prune.sparsity"], abs=0.01)
        assert point.perplexity == pytest.approx(own.valid_perplexity)
        assert point.meets_target == (own.met_target is not None)
        others = [other for other in result.frontier if other is not point]
        assert not any(
            o.active <= point.active and o.perplexity <= point.perplexity for o in others
        )
    assert RunResult.from_json(result.to_json(), Path(result.folder)).frontier == result.frontier


def test_sparsities_are_each_networks_own_where_sizes_vary(tmp_path):
    """A small network's share of zeros is not the winner's, nor is the dense count one."""
    from hyperprune.ui.verdict import result_facts

    space = "space={sparsity=[0.1, 0.9], hidden=[6, 24]}"
    settings = ("search.goal=frontier", space, "search.searcher=grid", "search.candidates=4")
    found = tiny_run(tmp_path, *settings, "final.finalists=4", "spectrum.measure=false")
    known = {item.name: item.configuration for item in found.candidates}
    assert len(found.frontier) > 1
    for point in found.frontier:
        asked = known[point.name]["prune.sparsity"]
        assert point.sparsity == pytest.approx(asked, abs=0.02)
    varied = len({known[point.name]["model.hidden"] for point in found.frontier}) > 1
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(result_facts(found))
    rows = [line.split() for line in console.export_text().splitlines()]
    (dense,) = [row for row in rows if len(row) == 4 and row[::3] == ["0", "dense"]]
    assert ("–" in dense) == varied


def test_the_winner_is_the_smallest_that_meets_the_target_else_the_best(result):
    met = [point for point in result.frontier if point.meets_target]
    by_loss = min(result.frontier, key=lambda point: point.perplexity)
    assert result.winner == (met[0] if met else by_loss).name


def test_the_bound_is_what_the_dense_network_scores_after_as_many_epochs(result):
    run = Run.open(Path(result.folder))
    judge = Judge(recipe_of(run), run)
    outcomes = [run.outcome(item.name) for item in result.candidates]
    found = judge.standings(outcomes, 1)
    dense = run.outcome(DENSE).epochs[0].valid_loss
    assert found.bound == (dense if result.goal == "smallest" else None)
    assert found.points == [
        Point(outcome.epochs[0].valid_loss, judge.size(outcome)) for outcome in outcomes
    ]
    told = judge.observations([({}, outcome) for outcome in outcomes], 1)
    assert [item.point for item in told] == found.points
    assert sorted(item.value for item in told) == list(range(8))


def test_show_says_what_the_search_came_to(result):
    from hyperprune.ui.verdict import result_facts

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(result_facts(result))
    said = console.export_text()
    assert result.goal in said
    for point in result.frontier:
        assert f"{point.sparsity:.4f}" in said
    assert f"{result.dense_perplexity:.2f}" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["search.goal=smallest"], "list prune.sparsity"),
        (["search.goal=frontier", SPACE, "final.stop_at_target=true"], "looks beyond the first"),
        (["search.goal=frontier", SPACE, 'space.exclude=[["encoder*"]]'], "counts masked weights"),
    ],
)
def test_what_contradicts_a_goal_is_said(tmp_path, settings, said):
    with pytest.raises(RecipeError, match=said):
        tiny_run(tmp_path, *settings)
