import json
import os
import shutil
import signal

import pytest

from hyperprune.errors import Stopped
from hyperprune.recipe import load_recipe


@pytest.fixture
def stopped(tiny, tmp_path, hyperprune):
    """A run that was stopped while its second candidate trained."""
    from hyperprune import events
    from hyperprune.pipeline import run as pipeline

    asked = []

    def stop(event):
        if isinstance(event, events.StepFinished) and event.candidate == "c001" and not asked:
            asked.append(event)
            signal.raise_signal(signal.SIGINT)

    folder = tmp_path / "stopped"
    with pytest.raises(Stopped):
        pipeline.run(load_recipe(tiny), folder=folder, observers=[stop])
    return folder


def test_run_prints_lines_and_the_result(hyperprune, tiny, tmp_path):
    result = hyperprune("run", tiny, "--out", tmp_path / "run")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert "run       tiny in" in lines[0]
    assert any("c002      epoch 3/3: validation perplexity" in line for line in lines)
    words = [line.split()[0] for line in lines if line.strip()]
    assert words.count("winner") >= 1
    for fact in ("sparsity", "epochs", "test", "settings"):
        assert fact in words
    assert any(line.startswith("run folder") and str(tmp_path) in line for line in lines)


@pytest.fixture
def quick(monkeypatch, finished):
    """Make `pipeline.begin` tell a few events and answer with a finished run; keeps its arguments."""
    from hyperprune import events
    from hyperprune.pipeline import run as pipeline

    calls = []

    def begin(settled, *, folder=None, observers=(), profile=False):
        calls.append((settled.recipe, folder))
        for observer in observers:
            observer(events.StageStarted("dense", 4))
            observer(events.EpochFinished("dense", 1, 2.0, 2.0, False))
        return pipeline.load_run(finished)

    monkeypatch.setattr(pipeline, "begin", begin)
    return calls


def test_json_is_the_record_alone_and_progress_goes_to_stderr(hyperprune, tiny, quick, finished):
    result = hyperprune("run", tiny, "--json")
    stored = json.loads((_path(finished) / "result.json").read_text())
    assert json.loads(result.out) == {**stored, "folder": finished}
    assert "validation perplexity" in result.err
    assert hyperprune("run", tiny, "--json", "--quiet").err == ""


def test_quiet_leaves_only_the_result(hyperprune, tiny, quick):
    result = hyperprune("run", tiny, "--quiet")
    assert result.err == ""
    assert "epoch 1/4" not in result.out
    assert result.out.startswith("winner ")


def test_settings_workers_and_folder_reach_the_run(hyperprune, tiny, quick, tmp_path):
    words = ("--set", "search.candidates=2", "--set", "title=mine", "--workers", "1")
    assert hyperprune("run", tiny, "--out", tmp_path / "run", *words).code == 0
    ((recipe, folder),) = quick
    assert (recipe.title, recipe.search.candidates, recipe.search.workers) == ("mine", 2, 1)
    assert folder == tmp_path / "run"


def test_a_wrong_setting_stops_before_anything_is_written(hyperprune, tiny, tmp_path):
    result = hyperprune("run", tiny, "--out", tmp_path / "run", "--set", "prune.sparsty=0.8")
    assert result.code == 2
    assert "did you mean 'sparsity'?" in result.err
    assert not (tmp_path / "run").exists()


def test_dry_run_plans_times_and_writes_nothing(hyperprune, tiny, tmp_path):
    result = hyperprune("run", tiny, "--out", tmp_path / "run", "--dry-run")
    assert result.code == 0
    assert "3 candidates, 11 epochs" in result.out  # 3 × 3 + 2 finalists × 1
    assert "12 epochs of candidates" in result.out
    assert "the run" in result.out
    assert not (tmp_path / "run").exists()
    record = json.loads(hyperprune("run", tiny, "--dry-run", "--json").out)
    assert record["plan"]["search_epochs"] == 11
    timed = record["estimate"]
    assert timed["run"] == pytest.approx(timed["epoch"] * (4 + 11))
    assert timed["epoch"] > timed["step"] * timed["steps"] > 0


def test_an_unknown_observer_stops_before_anything_is_written(hyperprune, tiny, tmp_path):
    result = hyperprune("run", tiny, "--out", tmp_path / "run", "--observe", "nobody")
    assert result.code == 2
    assert "no observer named 'nobody'" in result.err
    assert not (tmp_path / "run").exists()


def test_resume_ends_where_an_undisturbed_run_ends(hyperprune, stopped, finished):
    result = hyperprune("resume", stopped)
    assert result.code == 0
    assert "resume    tiny in" in result.out
    same = (
        json.loads((folder / "result.json").read_text()) for folder in (stopped, _path(finished))
    )
    assert next(same) == next(same)


def test_show_of_a_finished_run(hyperprune, finished):
    result = hyperprune("show", finished)
    assert (result.code, result.err) == (0, "")
    record = json.loads((_path(finished) / "result.json").read_text())
    assert f"{record['active']:,} of {record['masked']:,} masked weights are active" in result.out
    assert f"active weights of {record['winner']}" in result.out
    shown = [line.split()[0] for line in result.out.splitlines() if line.strip()]
    assert {"c000", "c001", "c002"} <= set(shown)
    # the topology adds up
    total = next(line.split() for line in result.out.splitlines() if line.startswith("all "))
    assert total[1:3] == [f"{record['masked']:,}", f"{record['active']:,}"]


def test_show_json(hyperprune, finished, stopped):
    whole = json.loads(hyperprune("show", finished, "--json").out)
    assert whole["finished"] is True
    assert whole["result"]["winner"] in {item["name"] for item in whole["candidates"]}
    part = json.loads(hyperprune("show", stopped, "--json").out)
    assert part["finished"] is False
    assert part["dense_epochs"] == 4
    assert [item["epochs"] for item in part["candidates"]] == [3, 0]


def test_show_of_a_run_that_was_stopped(hyperprune, stopped):
    result = hyperprune("show", stopped)
    assert result.code == 0
    assert "not finished" in result.out
    assert f"hyperprune resume {stopped}" in result.out


@pytest.mark.parametrize("command", ["show", "resume", "spectrum", "report"])
def test_what_is_no_run_is_an_error(hyperprune, tmp_path, command):
    absent, empty = hyperprune(command, tmp_path / "absent"), hyperprune(command, tmp_path)
    assert absent.code == empty.code == 2
    assert "there is no run folder" in absent.err
    assert "is not a run folder" in empty.err


def test_spectrum_of_the_dense_reference(hyperprune, finished):
    result = hyperprune("spectrum", finished)
    assert result.code == 0
    assert result.out.startswith("dense after epoch 4\n")
    assert "1/8" in result.out
    assert "exponent by rank" in result.out


def test_spectrum_of_a_candidate_beside_the_dense_reference(hyperprune, finished):
    result = hyperprune("spectrum", finished, "--candidate", "c000", "--epoch", "2")
    assert result.out.startswith("c000 after epoch 2\n")
    assert "● dense" in result.out


def test_spectrum_json(hyperprune, finished):
    record = json.loads(hyperprune("spectrum", finished, "-c", "c000", "-e", "3", "--json").out)
    assert (record["candidate"], record["epoch"]) == ("c000", 3)
    assert len(record["exponents"]) == len(record["layers"]) == 8
    assert record["sum"] == pytest.approx(sum(record["exponents"]))


def test_spectra_that_are_not_there(hyperprune, finished):
    unknown = hyperprune("spectrum", finished, "--candidate", "c0000")
    assert (unknown.code, "did you mean 'c000'?" in unknown.err) == (2, True)
    late = hyperprune("spectrum", finished, "--epoch", "9")
    assert (late.code, "no spectrum after epoch 9; there are 1 to 4" in late.err) == (2, True)


def test_doctor_is_content_with_this_installation(hyperprune, finished):
    result = hyperprune("doctor", finished)
    assert result.code == 0, result.out
    assert "wrong" not in result.out


def test_doctor_finds_damage(hyperprune, finished, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(finished, folder)
    (folder / "c000" / "spectra" / "0002.safetensors").write_bytes(b"junk")
    (folder / "dense" / "best.safetensors").unlink()
    result = hyperprune("doctor", folder)
    assert result.code == 1
    wrong = [line.split()[0] for line in result.out.splitlines() if " wrong " in line]
    assert wrong == ["dense", "c000"]


def test_doctor_names_a_corpora_folder_that_is_none(hyperprune, monkeypatch, tmp_path):
    monkeypatch.setenv("HYPERPRUNE_DATA", str(tmp_path / "nowhere"))
    result = hyperprune("doctor")
    assert result.code == 1
    assert "which is not a folder" in result.out


def _path(folder):
    from pathlib import Path

    return Path(os.fspath(folder))
