"""Workers as a person sees them: what each does, and who is slow."""

import io

from rich.console import Console
from scripted import Clock, plan

from hyperprune import events
from hyperprune.ui.board import Board
from hyperprune.ui.live import screen
from hyperprune.ui.plain import PlainLines


def changed(worker, state, candidate="", cause=""):
    return events.WorkerChanged(worker, f"host-{worker}", "cpu", 1, state, candidate, cause)


def epoch(name, number):
    return events.EpochFinished(name, number, 1.0, 1.0, False)


def busy(clock):
    """Two workers with five epochs of 10 s behind the first; the second is still in its first."""
    board = Board(clock)
    board.tell(events.RunStarted("runs/x", plan(), False))
    board.tell(changed("w1", "working", "c000"))
    board.tell(changed("w2", "working", "c001"))
    for number in range(1, 6):
        clock.now += 10
        board.tell(epoch("c000", number))
    return board


def test_who_takes_twice_as_long_is_slow():
    clock = Clock()
    board = busy(clock)
    first, second = board.workers.known.values()
    assert (board.workers.slow(first), board.workers.slow(second)) == (False, True)
    assert board.workers.doing(second) == "c001 for 50 s, slow: 50 s in this epoch"
    assert board.workers.counted() == "workers: 2 working (1 slow)"
    board.tell(changed("w2", "gone", "c001", "its node was lost"))
    assert board.workers.doing(board.workers.known["w2"]) == "gone for 0 s: its node was lost"


def drawn(board, height):
    console = Console(width=100, height=height, file=io.StringIO())
    console.print(screen(board, 100, height))
    return console.file.getvalue()


def test_the_screen_shows_each_or_counts_them():
    board = busy(Clock())
    tall = drawn(board, 40)
    assert "w1        host-w1, cpu  c000 for 50 s" in tall
    assert len(tall.splitlines()) == 40
    assert "workers: 2 working (1 slow)" in drawn(board, 20)
    assert "workers" not in drawn(board, 12)
    board.tell(events.WorkerSaid("w1", "warning: odd"))
    assert "w1: warning: odd" in drawn(board, 40)


def test_lines_say_who_was_lost():
    stream = io.StringIO()
    lines = PlainLines(stream, busy(Clock()))
    lines(changed("w2", "working", "c001"))
    lines(changed("w2", "gone", "c001", "its node was lost"))
    lines(events.WorkerSaid("w1", "warning: odd"))
    said = [line[10:] for line in stream.getvalue().splitlines()]  # after the time
    assert said == [
        "w2        gone while it trained c001 (host-w2, cpu): its node was lost",
        "w1        warning: odd",
    ]
