import io
import json
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from scripted import HOSTILE, stream

from hyperprune import events
from hyperprune.ui.board import Board
from hyperprune.ui.live import LiveView, relevant, screen

STATES = ("waiting", "training", "measured", "kept", "eliminated", "failed")


def told(stream):
    board = Board()
    for event in stream:
        board.tell(event)
    return board


def crowd(count):
    """A board with many candidates, one in seven of them kept."""
    board = told(list(stream())[:1])
    for number in range(count):
        name = f"c{number:03d}"
        board.tell(events.CandidateProposed(name, {"prune.init": "er"}))
        row = board.row(name)
        row.state = "kept" if number % 7 == 0 else "eliminated"
        row.best_cost = float(count - number)
    return board


def test_the_screen_of_a_finished_run(rendered):
    shown = rendered(screen(told(stream()), 80, 24, "hint"))
    lines = [line.rstrip() for line in shown.splitlines()]
    assert len(lines) == 24
    assert lines[0] == "hyperprune tiny  runs/tiny"
    assert lines[1] == "final: 2 finalists to epoch 4"
    assert "13/13 epochs" in lines[2]
    assert lines[3] == "dense target 96.00   best so far c002 93.00 meets the target"
    assert lines[5].split() == ["candidate", "settings", "epoch", "distance", "perplexity", "state"]
    assert lines[6].split() == ["dense", "4", "96.00", "done"]
    assert lines[7].split() == ["c000", "er", "·", "0.5", "4", "0.4000", "97.00", "measured"]
    assert lines[8].split() == ["c001", "er", "·", "0.5", "1", "–", "149.00", "failed"]
    assert lines[9].split() == ["c002", "★", "er", "·", "0.5", "4", "0.2000", "93.00", "measured"]
    assert lines[-2:] == ["c001: the loss is nan", "hint"]


@pytest.mark.parametrize("height", [8, 12, 24])
def test_a_given_target_has_no_dense_reference_beside_it(rendered, height):
    board = Board()
    for event in stream():
        if isinstance(event, events.RunStarted):
            event = replace(event, target=math.log(95.0))
        if getattr(event, "candidate", "") != "dense":
            board.tell(event)
    text = rendered(screen(board, 100, height), 100, height)
    assert len(text.splitlines()) == height
    assert "given target 95.00   best so far c002 93.00 meets the target" in text
    assert "dense" not in text
    assert "c000" in text


@pytest.mark.parametrize("width", [80, 160])
def test_a_run_that_compares_no_spectra_has_no_columns_for_them(rendered, width):
    start, *rest = stream()
    bare = replace(start, plan=replace(start.plan, distances=False))
    shown = rendered(screen(told([bare, *rest]), width, 50), width, 50)
    assert "distance" not in shown
    assert "lost" not in shown
    assert "0.2000" not in shown
    assert {"93.00", "measured"} <= set(shown.splitlines()[9].split())


def test_a_wide_screen_has_a_column_for_every_setting(rendered):
    shown = rendered(screen(told(stream()), 160, 50), 160, 50).splitlines()
    assert shown[5].split()[:3] == ["candidate", "init", "removal_rate"]
    assert "0.2000 ±0.0200" in shown[9]


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 220), st.integers(8, 70), st.integers(0, 60), st.booleans())
def test_every_screen_fits_its_window(width, height, count, hostile):
    board = crowd(count)
    if hostile:
        for event in stream(title=HOSTILE, setting=HOSTILE, cause=HOSTILE):
            board.tell(event)
        board.tell(events.Notice(HOSTILE))
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    lines = console.render_lines(screen(board, width, height, "hint"), pad=False)
    shown = ["".join(segment.text for segment in line) for line in lines]
    assert len(shown) <= height
    assert all(cell_len(line) <= width for line in shown)
    assert all(line.isprintable() for line in shown)


def test_the_most_relevant_rows_are_shown_in_the_order_of_their_names(rendered):
    board = crowd(40)
    board.row("c039").state = "training"
    rows, hidden = relevant(board, 8)
    # c039 trains, c000 … c035 in steps of 7 are kept: 7 rows, and a line for the rest
    assert [row.name for row in rows] == ["c000", "c007", "c014", "c021", "c028", "c035", "c039"]
    assert len(hidden) == 33
    assert "… and 33 more: 33 eliminated" in rendered(screen(board, 80, 15), 80, 15)


@pytest.mark.parametrize("stage", ["", "dense", "search", "round 2", "round x", HOSTILE, "final"])
def test_any_stage_has_words(rendered, stage):
    board = told([*list(stream())[:1], events.StageStarted(stage, 1)])
    assert len(rendered(screen(board, 80, 24)).splitlines()) == 24


def test_the_terminal_is_left_as_it_was():
    terminal = io.StringIO()
    console = Console(file=terminal, width=80, height=24, force_terminal=True)
    with suppress(ZeroDivisionError), LiveView(console) as view:
        for event in stream():
            view(event)
        raise ZeroDivisionError
    written = terminal.getvalue()
    assert written.count("\x1b[?1049h") == written.count("\x1b[?1049l") == 1
    assert written.index("\x1b[?1049h") < written.index("\x1b[?1049l")
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h")  # the cursor is shown again
    assert "\x1b[2J" not in written  # never cleared: nothing flickers


LIKE = {
    "prune.removal": "global_magnitude",
    "prune.growth": "cell_gate",
    "prune.redistribution": "nonzeros",
    "prune.init": "balanced",
}


def alike(count=4):
    """Candidates that differ in the last of five settings."""
    board = told(list(stream())[:1])
    for number in range(count):
        name, rate = f"c{number:03d}", 0.5 + number / 100
        board.tell(events.CandidateProposed(name, {**LIKE, "prune.removal_rate": rate}))
        board.tell(events.SpectrumMeasured(name, 1, 4.1, 12.3456, 0.1, 0.1, -0.1, 0, 3, 20))
    return board


@pytest.mark.parametrize("height", [12, 16, 24, 50])
def test_candidates_can_be_told_apart_by_their_settings(rendered, height):
    lines = rendered(screen(alike(), 80, height), 80, height).splitlines()
    assert len(lines) == height
    rates = [
        rate for line in lines for rate in ("0.5", "0.51", "0.52", "0.53") if rate in line.split()
    ]
    assert rates == ["0.5", "0.51", "0.52", "0.53"]


def test_settings_take_more_lines_where_there_are_some_to_spare(rendered):
    lines = rendered(screen(alike(), 80, 24), 80, 24).splitlines()
    assert lines[7].split()[:4] == ["c000", "★", "cell_gate", "·"]
    assert "balanced" in lines[7]
    assert "global_magnitude" in lines[8]
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", range(21, 81))
def test_no_number_is_cut(rendered, width):
    """What a narrow window has no room for is left out, column by column; the rest is whole."""
    lines = rendered(screen(alike(), width, 30), width, 30).splitlines()
    heads = lines[5].split()
    assert heads[0] == "candidate"
    assert "perplexity" in heads
    assert ("settings" in heads) <= ("distance" in heads) <= ("epoch" in heads)
    (row,) = [line for line in lines if line.startswith("c002")]
    assert "60.34" in row.split()
    assert ("12.3456" in row.split()) == ("distance" in heads)


def test_what_is_waited_for_is_said_until_the_first_step(rendered):
    board = told([event for event in stream() if isinstance(event, events.RunStarted)])
    assert "loading what training needs" in rendered(screen(board, 100, 24), 100, 24)
    board.tell(events.StepFinished(events.DENSE, 1, 1, 10))
    assert "estimating the time left" in rendered(screen(board, 100, 24), 100, 24)


def test_a_wide_and_tall_screen_has_the_best_spectrum_beside_the_dense_one(rendered):
    from hyperprune.ui.beside import Beside

    board = crowd(4)
    found = Beside("c002", 3, [[0.0, -1.0, -4.0]] * 2, [[0.0, -1.0, -2.0]] * 2)
    shown = rendered(screen(board, 120, 40, "hint", "", found), 120, 40)
    assert "exponents by rank after epoch 3  ● dense  ● c002" in shown
    assert shown.count("└") == 2  # a pair of axes a layer, side by side
    for width, height in ((80, 40), (120, 20)):
        narrow = rendered(screen(board, width, height, "hint", "", found), width, height)
        assert "exponents" not in narrow
        assert len(narrow.splitlines()) == height


def test_stored_spectra_are_read_and_strange_names_are_not():
    from hyperprune.ui.beside import beside_dense

    recorded = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"
    winner = json.loads((recorded / "result.json").read_text())["winner"]
    found = beside_dense(recorded, winner, 3)
    assert (len(found.own), len(found.own[0])) == (1, len(found.dense[0]))
    assert beside_dense(recorded, winner, 99) is None
    assert beside_dense(recorded, f"../quickstart/{winner}", 3) is None


def test_a_terminal_names_the_live_page_that_shows_its_run(rendered, tmp_path, monkeypatch):
    from hyperprune.store.pages import announced, page_of

    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "runs").mkdir()
    run, address = tmp_path / "runs" / "tiny", "http://127.0.0.1:1234/token/"
    assert page_of(run) is None
    with announced(tmp_path / "runs", address):
        assert page_of(run) == f"{address}run/tiny/"
        with announced(
            tmp_path / "runs", "http://127.0.0.1:1/other/"
        ):  # a second one of the folder
            assert page_of(run) == f"{address}run/tiny/"
        kept = next((tmp_path / "cache").rglob("address"))
        assert kept.stat().st_mode & 0o077 == 0
        view = LiveView(Console(file=io.StringIO(), width=100, height=24, force_terminal=True))
        view.board.folder = str(run)
        shown = rendered(view._draw(), 100, 24)
        assert f"live page {address}run/tiny/" in shown
    assert page_of(run) is None
