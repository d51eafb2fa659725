"""`hyperprune doctor RUN` names what is wrong with a run, and what to do."""

import json
import shutil

import pytest
from targets import Targets

from hyperprune.report.checks import check_run
from hyperprune.store.lock import owned


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Targets(tmp_path_factory.mktemp("doctor"))


@pytest.fixture
def run(targets, tmp_path):
    """A run that has all but its result."""
    folder = tmp_path / "run"
    shutil.copytree(targets.run, folder)
    (folder / "result.json").unlink()
    return folder


def found(folder, name):
    return [(check.state, check.found) for check in check_run(folder) if check.name == name]


def test_a_run_that_can_go_on(run):
    assert {check.state for check in check_run(run)} == {"ok", "note"}
    assert found(run, "result") == [("note", f"not finished; hyperprune resume {run} goes on")]


def test_a_run_that_somebody_works_on(run):
    with owned(run):
        ((state, said),) = found(run, "result")
    assert state == "ok"
    assert said.startswith("not yet: process ")


def test_what_has_changed(run):
    made = json.loads((run / "run.json").read_text())
    made["made_with"]["torch"] = "1.0"
    (run / "run.json").write_text(json.dumps(made))
    ((state, said),) = found(run, "changed")
    assert state == "note"
    assert said.startswith("torch was '1.0' when the run began")
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("seed = 1", "seed = 2"))
    ((state, said),) = found(run, "recipe")
    assert state == "wrong"
    assert "seed: was 1, now 2" in said


def test_what_is_lost_and_what_is_damaged(run):
    (run / "c000" / "spectra" / "0002.safetensors").unlink()
    (run / "c000" / "best.safetensors").write_bytes(b"torn")
    (lost, damaged) = found(run, "c000")
    assert lost[0] == "note"
    assert "0002.safetensors is gone; resuming makes it again if it is needed" in lost[1]
    assert damaged[0] == "wrong"
    assert damaged[1].endswith("delete it, and resuming makes it again")


def test_a_journal_that_nobody_wrote(run):
    with (run / "journal.jsonl").open("a") as journal:
        journal.write('{"fact": "trained", "candidate": "../x", "epochs": [], "failure": null}\n')
    ((state, said),) = found(run, "run")
    assert state == "wrong"
    assert "journal.jsonl is damaged at line" in said
