import io
import json

import pytest
from rich.console import Console
from scripted import stream

from hyperprune import events
from hyperprune.errors import PluginError
from hyperprune.plugins import Contribution, registry
from hyperprune.terms.duration import duration
from hyperprune.ui.follow import following
from hyperprune.ui.live import LiveView
from hyperprune.ui.plain import PlainLines
from hyperprune.ui.watch import watching


@pytest.fixture
def offer(monkeypatch):
    """Register an observer for the length of a test."""

    def register(name, make):
        item = Contribution("observer", name, make, "test", "0")
        monkeypatch.setitem(registry().contributions, ("observer", name), item)

    return register


def console(**options):
    return Console(file=io.StringIO(), **options)


def tell(observers, events):
    for event in events:
        for observer in observers:
            observer(event)


def test_lines_where_there_is_no_terminal_and_a_view_where_there_is_one(monkeypatch):
    stream = io.StringIO()
    with watching(console(), stream) as observers:
        assert isinstance(observers[0], PlainLines)
    monkeypatch.setenv("TERM", "xterm")
    with watching(console(force_terminal=True, width=80, height=24), stream) as observers:
        assert isinstance(observers[0], PlainLines)  # colours are forced, and it is a file
    monkeypatch.setattr(stream, "isatty", lambda: True)
    with watching(console(force_terminal=True, width=80, height=24), stream) as observers:
        assert isinstance(observers[0], LiveView)
    monkeypatch.setenv("TERM", "dumb")
    with watching(console(force_terminal=True), stream) as observers:
        assert isinstance(observers[0], PlainLines)


def test_lines_of_the_past_say_when_they_happened(tmp_path):
    logged = [
        ("2026-01-01T10:00:00", {"event": "StageStarted", "stage": "dense", "epochs": 4}),
        ("2026-01-01T10:02:05", {"event": "Notice", "message": "slow"}),
        ("2026-01-01T11:00:00", {"event": "RunFinished", "folder": "runs/tiny", "result": {}}),
    ]
    lines = [json.dumps({"time": time, **event}) + "\n" for time, event in logged]
    (tmp_path / "log.jsonl").write_text("".join(lines))
    output = io.StringIO()
    following(tmp_path, console(), output)
    shown = [line[:8].strip() for line in output.getvalue().splitlines()]
    assert shown == [duration(seconds) for seconds in (0, 125, 3600)]


def test_quiet_says_nothing():
    output = io.StringIO()
    with watching(console(), output, quiet=True) as observers:
        tell(observers, stream())
    assert output.getvalue() == ""


def test_a_plugin_is_told_every_event_and_knows_the_folder(offer):
    seen = []

    def make(folder, *, every: int = 1):
        seen.append(folder)
        return seen.append

    offer("tape", make)
    with watching(console(), io.StringIO(), quiet=True, plugins=["tape"]) as observers:
        tell(observers, stream())
    assert str(seen[0]) == "runs/tiny"
    assert seen[1:] == list(stream())


def test_a_plugin_that_raises_is_left_out_and_named(offer):
    calls = []

    def make(folder):
        def observe(event):
            calls.append(event)
            if isinstance(event, events.EpochFinished):
                raise ZeroDivisionError("by \x1b[31mzero")

        return observe

    offer("shaky", make)
    output = io.StringIO()
    with watching(console(), output, plugins=["shaky"]) as observers:
        tell(observers, stream())
    assert isinstance(calls[-1], events.EpochFinished)
    said = "observer 'shaky' failed, ignored: ZeroDivisionError: by \\x1b[31mzero"
    assert output.getvalue().count(said) == 1
    assert "done" in output.getvalue().splitlines()[-1]


def test_an_unknown_observer_is_an_error_before_anything_runs():
    with (
        pytest.raises(PluginError, match="no observer named 'nope'"),
        watching(console(), io.StringIO(), plugins=["nope"]),
    ):
        pytest.fail("opened")


def test_options_are_written_as_in_a_recipe(offer):
    seen = []

    def make(folder, *, every: int = 1):
        seen.append(every)
        return lambda event: None

    offer("tape", make)
    chosen = ['{ name = "tape", every = 3 }', "tape"]
    with watching(console(), io.StringIO(), quiet=True, plugins=chosen) as observers:
        tell(observers, stream())
    assert seen == [3, 1]
    for bad, said in (
        ('{ name = "tape", ever = 3 }', "did you mean 'every'"),
        ("{ name", "cannot read"),
    ):
        with (
            pytest.raises(PluginError, match=said),
            watching(console(), io.StringIO(), plugins=[bad]),
        ):
            pytest.fail("opened")


def test_a_plugin_that_raises_is_named_even_when_quiet(offer, capsys):
    def make(folder):
        raise OSError("no room")

    offer("shaky", make)
    with watching(console(), io.StringIO(), quiet=True, plugins=["shaky"]) as observers:
        tell(observers, stream())
    assert "observer 'shaky' of test raised OSError: no room" in capsys.readouterr().err
