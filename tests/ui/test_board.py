import io
import math

import pytest
from scripted import measured, plan, stream, trained

from hyperprune import events
from hyperprune.ui.board import Board
from hyperprune.ui.live import screen
from hyperprune.ui.plain import PlainLines
from hyperprune.ui.rows import meets_target


def told(stream, clock=None):
    board = Board(clock) if clock else Board()
    for event in stream:
        board.tell(event)
    return board


def test_a_whole_run():
    board = told(stream())
    assert board.result == {"winner": "c002"}
    assert [(r.name, r.state, r.epoch) for r in board.candidates.values()] == [
        ("c000", "measured", 4),
        ("c001", "failed", 1),
        ("c002", "measured", 4),
    ]
    assert math.exp(board.target_cost) == pytest.approx(96)
    assert board.best.name == "c002"
    assert math.exp(board.best.best_cost) == pytest.approx(93)
    assert board.candidates["c002"].distance == 0.2
    assert board.candidates["c001"].cause == "the loss is nan"


def test_epochs_that_a_failed_candidate_does_not_train_are_not_waited_for():
    # 4 dense + 10 of the search, less the second epoch of c001
    board = told(stream())
    assert board.total == 13
    assert board.done == 13


def test_unfinished_epochs_count_in_part():
    board = told([events.RunStarted("r", plan(), False), events.StepFinished("dense", 1, 1, 4)])
    assert board.done == 0.25
    assert board.row("dense").state == "training"


def test_a_resumed_run_counts_what_is_behind_it_without_taking_it_for_speed(clock):
    board = told([events.RunStarted("r", plan(), True), *measured("dense", 4)], clock)
    assert board.done == 4
    assert math.exp(board.target_cost) == pytest.approx(96)
    assert board.seconds_left is None
    board.tell(events.CandidateProposed("c000", {}))
    for epoch, event in enumerate(e for e in trained("c000", 1, 2) if hasattr(e, "valid_loss")):
        clock.now = 10.0 * (epoch + 1)
        board.tell(event)
    # 2 epochs in 20 s, 14 − 6 to go
    assert board.seconds_left == pytest.approx(80.0)


def test_epochs_of_an_earlier_sitting_are_behind_us_and_no_speed(clock):
    board = told([events.RunStarted("r", plan(), True)], clock)
    clock.now = 2.0
    board.tell(events.StepFinished("dense", 3, 1, 2))  # two epochs were there already
    assert board.done == 2.5
    clock.now = 4.0
    board.tell(events.EpochFinished("dense", 3, 4.0, 4.0, False))
    # an epoch in 4 s, 14 − 3 to go
    assert board.seconds_left == pytest.approx(44.0)


def test_the_dense_reference_trains_on_beside_the_first_candidates():
    board = told([events.RunStarted("r", plan(), False), events.StageStarted("search", 6)])
    assert (board.goal("dense"), board.goal("c000")) == (4, 2)


def test_time_left_runs_down_between_events(clock):
    board = told([events.RunStarted("r", plan(), False)], clock)
    clock.now = 5.0
    board.tell(events.EpochFinished("dense", 1, 4.0, 4.0, False))
    before = board.seconds_left
    clock.now = 8.0
    assert board.seconds_left == pytest.approx(before - 3.0)
    clock.now = 1000.0
    assert board.seconds_left == 0.0


def test_time_left_follows_the_recent_pace(clock):
    board = told([events.RunStarted("r", plan(), False)], clock)
    for epoch in range(1, 5):  # 100 s an epoch
        clock.now += 100.0
        board.tell(events.EpochFinished("dense", epoch, 4.0, 4.0, False))
    for epoch in range(1, 3):  # 1 s an epoch, for longer than the window
        for step in range(1, 101):
            clock.now += 1.0
            board.tell(events.StepFinished("c000", epoch, step, 100))
        board.tell(events.EpochFinished("c000", epoch, 4.0, 4.0, False))
    assert board.seconds_left == pytest.approx(8 * 100.0, rel=0.05)


@pytest.mark.parametrize(
    ("stage", "target"), [("dense", 4), ("search", 2), ("round 9", 4), ("round x", 4), ("final", 4)]
)
def test_the_epoch_a_stage_trains_to(stage, target):
    board = told([events.RunStarted("r", plan(), False), events.StageStarted(stage, 1)])
    assert board.stage_target == target


def test_a_candidate_that_reached_its_goal_is_trained_until_it_is_judged():
    board = told([events.RunStarted("r", plan(), False), events.StageStarted("search", 6)])
    states = []
    for event in (*trained("c000", 1, 2), *measured("c000", 2, distance=0.5)):
        board.tell(event)
        states.append(board.row("c000").state)
    assert states == [*["training"] * 5, "trained", "measured", "measured"]


def test_rounds_keep_and_eliminate():
    board = told([events.RoundFinished(1, ("a", "b"), ("c",))])
    assert {row.name: row.state for row in board.candidates.values()} == {
        "a": "kept",
        "b": "kept",
        "c": "eliminated",
    }


def test_before_anything_is_known():
    board = Board()
    assert (board.total, board.done, board.best, board.target_cost) == (0, 0, None, None)


def test_what_gradual_pruning_passes_on_its_way_is_no_result(rendered):
    """Denser networks beat the target until the third epoch of four, where the sparsity is reached."""
    board, output = Board(), io.StringIO()
    lines = PlainLines(output, board)
    lines(events.RunStarted("runs/tiny", plan(), resumed=False, target=4.0))
    lines(events.StageStarted("search", 6))
    lines(events.EpochFinished("c001", 1, 4.1, 4.1, False))  # is pruned at once
    for epoch, loss in enumerate((3.5, 3.9, 4.3), start=1):
        lines(events.EpochFinished("c000", epoch, loss, loss, False, arrived=epoch > 2))
        row = board.row("c000")
        assert row.best_cost == loss
        assert not meets_target(row, board)
        assert board.best.name == "c001"
    assert "meets" not in output.getvalue()
    assert "meets" not in rendered(screen(board, 100, 20), 100, 20)
    lines(events.EpochFinished("c000", 4, 3.8, 3.8, False))
    lines(events.SpectrumMeasured("c000", 4, 3.8, 0.5, 0.1, 0.1, -0.1, 0))
    assert board.best is row
    assert meets_target(row, board)
    assert "meets the given target" in output.getvalue()
    assert "meets the target" in rendered(screen(board, 100, 20), 100, 20)
