"""Where candidates train does not show in what comes of it, and can change from sitting to sitting."""

import json
import logging
import os
import signal
import warnings
from concurrent.futures.process import BrokenProcessPool

import pytest

import hyperprune
from hyperprune import events
from hyperprune.builtin.executors.worker_processes import Processes
from hyperprune.errors import CorpusError, PluginError, RunError, Stopped
from hyperprune.execution import Crew
from hyperprune.execution.guarded import Guarded
from hyperprune.execution.telling import LONGEST, MOST, telling
from hyperprune.figures import timeline
from hyperprune.pipeline.changes import may_change
from hyperprune.report.checks import check_run
from hyperprune.runtime.machine import VISIBLE
from hyperprune.store.lock import owned
from hyperprune.testing import tiny_recipe, tiny_run, tiny_text
from hyperprune.testing.executors import job_of


def facts(folder):
    return (folder / "run" / "journal.jsonl").read_bytes()


def stop_after(kind):
    def observe(event):
        if isinstance(event, kind):
            raise Stopped("enough")

    return observe


def log_of(folder):
    lines = (folder / "run" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory):
    """A run by two worker processes."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "cache"))
        tiny_run(folder, "search.workers=2")
    return folder


def test_a_run_goes_on_with_another_executor(side_by_side, tmp_path, monkeypatch):
    with pytest.raises(Stopped):
        tiny_run(
            tmp_path,
            "search.workers=2",
            "search.executor=local",
            observers=[stop_after(events.CandidateProposed)],
        )
    told = []
    change = "search.executor={name='processes', workers_per_gpu=2}"
    hyperprune.resume(
        tmp_path / "run", overrides=[change, "search.workers=1"], observers=[told.append]
    )
    notices = [event.message for event in told if isinstance(event, events.Notice)]
    assert "search.executor.name changed from 'local' to 'processes'" in notices
    assert "search.executor.options.workers_per_gpu changed from None to 2" in notices
    assert "search.workers changed from 2 to 1" in notices
    assert sorted(facts(tmp_path).splitlines()) == sorted(facts(side_by_side).splitlines())


def test_what_makes_another_experiment_is_refused(tmp_path):
    with pytest.raises(Stopped):
        tiny_run(tmp_path, observers=[stop_after(events.CandidateProposed)])
    with pytest.raises(RunError, match=r"train\.lr: was 1\.0, now 2\.0"):
        hyperprune.resume(tmp_path / "run", overrides=["train.lr=2.0"])
    assert may_change("search.executor.options.resources.cpu")
    assert not may_change("search.executors")
    assert not may_change("search.searcher.name")


def test_an_unknown_executor_is_told_the_nearest(tmp_path):
    with pytest.raises(hyperprune.errors.RecipeError, match=r"did you mean 'processes'\?"):
        tiny_recipe(tiny_text(tmp_path), "search.executor=proceses")
    with pytest.raises(hyperprune.errors.RecipeError, match="unknown key"):
        tiny_recipe(tiny_text(tmp_path), "search.executor={name='local', speed=3}")


def test_the_log_and_the_timeline_name_workers(side_by_side):
    told = [line for line in log_of(side_by_side) if line["event"] == "WorkerChanged"]
    working = [line for line in told if line["state"] == "working"]
    assert {line["candidate"] for line in working} == {"dense", "c000", "c001"}
    assert {line["worker"] for line in working} == {"w1", "w2"}
    assert all(line["device"] == "cpu" and line["pid"] != os.getpid() for line in working)
    drawn = timeline(side_by_side / "run")
    assert {lane for bar in drawn.data for lane in bar.y} == {"worker w1", "worker w2"}


def test_doctor_shows_who_works_on_a_run(side_by_side):
    result = side_by_side / "run" / "result.json"
    kept = result.read_text()
    result.unlink()
    try:
        with owned(side_by_side / "run"):
            found = {check.name: check for check in check_run(side_by_side / "run")}
    finally:
        result.write_text(kept)
    assert "idle" in found["worker w1"].found
    assert found["worker w2"].state == "ok"


def test_workers_keep_to_a_gpu_each(monkeypatch):
    monkeypatch.setattr(
        "hyperprune.builtin.executors.worker_processes.gpus", lambda: ("3", "GPU-b")
    )
    crew = Crew(3, 1, True, print, lambda: False)
    with Processes(crew) as executor:
        assert [slot.device for slot in executor._slots] == ["3", "GPU-b", "3"]
        assert executor._slots[1].pool.submit(os.getenv, VISIBLE).result() == "GPU-b"
    assert VISIBLE not in os.environ or os.environ[VISIBLE] != "GPU-b"
    assert [slot.device for slot in Processes(Crew(1, 1, False, print, bool))._slots] == []


def test_workers_have_the_environment_that_their_run_began_with(monkeypatch):
    """The process that divides into them may be older than that."""
    for value in ("before", "now", None):
        if value is None:
            monkeypatch.delenv("HYPERPRUNE_OF_A_TEST")
        else:
            monkeypatch.setenv("HYPERPRUNE_OF_A_TEST", value)
        with Processes(Crew(2, 1, False, print, bool)) as executor:
            for slot in executor._slots:
                assert slot.pool.submit(os.getenv, "HYPERPRUNE_OF_A_TEST").result() == value


def test_workers_find_loaded_what_they_need():
    loaded = "'torch' in __import__('sys').modules"
    with Processes(Crew(1, 1, False, print, bool)) as executor:
        assert executor._slots[0].pool.submit(eval, loaded).result()
        assert executor._slots[0].pool.submit(os.getppid).result() != os.getpid()


def test_a_worker_that_was_killed_while_it_was_idle_costs_nothing(tmp_path):
    told = []
    with Processes(Crew(1, 1, False, told.append, lambda: False)) as executor:
        pool = executor._slots[0].pool
        killed = pool.submit(os.getpid).result()
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            pool.submit(os.getpid).result()
        job = job_of(tmp_path, "c000", epochs=1)
        assert executor.wait(executor.submit(job)).failure is None
    gone, working, *_ = [event for event in told if isinstance(event, events.WorkerChanged)]
    assert (gone.state, gone.candidate) == ("gone", "")
    assert (working.state, working.candidate) == ("working", "c000")
    assert working.pid != killed


def test_what_a_worker_says_is_told_in_its_name():
    told = []
    with telling("w7", told.append):
        print("half a", end="")
        print(" line\nand one more")
        logging.getLogger("somebody").warning("look\nhere")
        logging.getLogger("somebody").info("not this")
        warnings.simplefilter("always")
        warnings.warn("odd", stacklevel=1)
        print("x" * 10_000)
        for _ in range(1000):
            print("on and on")
    lines = [event.message for event in told]
    assert lines[:4] == ["half a line", "and one more", "warning: look", "warning: here"]
    assert any("UserWarning: odd" in line for line in lines)
    assert max(map(len, lines)) == LONGEST
    assert len(lines) == MOST
    assert {event.worker for event in told} == {"w7"}


def test_an_executor_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    from hyperprune.plugins import Contribution, registry

    def mine(crew):
        """Nowhere."""
        raise OSError("no such cluster")

    item = Contribution("executor", "mine", mine, "test", "0")
    monkeypatch.setitem(registry().contributions, ("executor", "mine"), item)
    with pytest.raises(PluginError, match="executor 'mine' of test raised OSError: no such"):
        tiny_run(tmp_path, "search.executor=mine")


def test_an_executor_without_workers_is_named():
    class Mine:
        workers = 0
        submit = wait = print

    with pytest.raises(RunError, match=r"executor 'mine' has 0 workers; .* at least one"):
        Guarded(Mine, "executor 'mine'")


def test_an_executor_is_told_ahead_of_how_many_workers_are_asked_for(tmp_path, monkeypatch):
    from hyperprune.builtin.executors import local
    from hyperprune.plugins import Contribution, registry

    told = []

    def mine(crew, *, where="here"):
        """As the local one."""
        return local(crew)

    mine.prepare = lambda workers, *, where="here": told.append((workers, where))
    item = Contribution("executor", "mine", mine, "test", "0")
    monkeypatch.setitem(registry().contributions, ("executor", "mine"), item)
    overrides = ["search.executor={name='mine', where='there'}", "search.candidates=2"]
    lost = ["data.corpus=ptb", f"data.root={tmp_path / 'nowhere'}"]
    with pytest.raises(CorpusError):  # what settling refuses was prepared for
        tiny_run(tmp_path, *overrides, *lost, "search.workers=auto")
    assert told == [(0, "there")]

    def fails(workers, *, where):
        raise OSError("no such cluster")

    mine.prepare = fails
    with pytest.raises(PluginError, match="executor 'mine' of test raised OSError: no such"):
        tiny_run(tmp_path, *overrides)
    assert not (tmp_path / "run").exists()
