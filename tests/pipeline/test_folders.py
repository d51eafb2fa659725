"""Run folders: nothing of anybody's is replaced, what moved is found, what is over is said to be."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

import hyperprune
from hyperprune import events
from hyperprune.corpus.load import _load_corpus
from hyperprune.errors import CorpusError, RecipeError, RunError, Stopped
from hyperprune.judgement.standing import standing
from hyperprune.recipe import dumps
from hyperprune.report.checks import check_run
from hyperprune.report.html import render
from hyperprune.store.folder import new_folder
from hyperprune.testing import tiny_recipe, tiny_text


@pytest.fixture
def recipe(tmp_path):
    return tiny_recipe(tiny_text(tmp_path / "text"))


def tree(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    "name",
    ["recipe.toml", "result.json", "winner/weights.safetensors", "lock", "log.jsonl", "notes.txt",
     "journal.jsonl", ".hidden"],
)  # fmt: skip
def test_a_new_run_replaces_nothing(recipe, tmp_path, name):
    folder = tmp_path / "exp"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine, and older than any run")
    before = tree(folder)
    with pytest.raises(RunError, match="is not empty"):
        hyperprune.run(recipe, folder=folder)
    assert tree(folder) == before


def test_a_run_goes_into_an_empty_folder_and_into_one_that_it_began(recipe, tmp_path):
    for name in ("empty", "begun"):
        (tmp_path / name).mkdir()
    (tmp_path / "begun" / "lock").write_text('{"pid": 1, "host": "here"}')
    (tmp_path / "begun" / "run.json.partial").write_text("{")
    for name in ("empty", "begun"):
        assert hyperprune.run(recipe, folder=tmp_path / name).winner


def stop(event):
    if isinstance(event, events.CandidateProposed):
        raise Stopped("enough")


@pytest.fixture
def stopped(recipe, tmp_path):
    with pytest.raises(Stopped):
        hyperprune.run(recipe, folder=tmp_path / "run", observers=[stop])
    return tmp_path / "run"


def test_odd_files_of_others_block_nothing(stopped):
    (stopped / ".#recipe.toml").symlink_to("me@here.1234:5678")  # an editor's lock
    (stopped / "notes").symlink_to("/nowhere")
    (stopped / "dense").mkdir(exist_ok=True)
    (stopped / "dense" / ".#x").symlink_to("/nowhere")
    if hasattr(os, "mkfifo"):
        os.mkfifo(stopped / "pipe")
    (stopped / "closed").mkdir(mode=0)
    assert hyperprune.resume(stopped).winner
    (stopped / "closed").chmod(0o700)


def test_a_text_that_moved_is_found_again(stopped, tmp_path):
    shutil.move(tmp_path / "text", tmp_path / "moved")
    _load_corpus.cache_clear()
    with pytest.raises(
        CorpusError, match=r"where the text has moved, say so by data\.root in .*run"
    ):
        hyperprune.resume(stopped)
    path = stopped / "recipe.toml"
    path.write_text(path.read_text().replace(str(tmp_path / "text"), str(tmp_path / "moved")))
    seen = []
    assert hyperprune.resume(stopped, observers=[seen.append]).winner
    assert any("data.root changed" in e.message for e in seen if isinstance(e, events.Notice))


def test_another_text_at_the_new_place_is_refused(stopped, tmp_path):
    other = tiny_text(tmp_path / "other")
    (other / "valid.txt").write_text((other / "test.txt").read_text())
    path = stopped / "recipe.toml"
    path.write_text(path.read_text().replace(str(tmp_path / "text"), str(other)))
    with pytest.raises(RunError, match="corpus text has changed"):
        hyperprune.resume(stopped)


def test_a_recipe_with_a_relative_text_resumes_from_anywhere(recipe, tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_text(dumps(recipe).replace(str(tmp_path / "text"), "text"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Stopped):
        hyperprune.run("mine.toml", folder="run", observers=[stop])
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert hyperprune.resume("../run").winner


@pytest.mark.skipif(os.name == "nt", reason="paths there are Unicode")
def test_a_path_that_is_no_text_is_refused_before_anything_is_trained(recipe, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(RunError, match=r"caf\\xe9.* is not valid UTF-8"):
        hyperprune.run(recipe, folder=folder)
    assert not folder.exists()


def test_runs_that_start_at_one_instant_have_folders_of_their_own(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda *_: "20261125-120000")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: new_folder(recipe.title), range(24)))
    assert len(set(found)) == 24
    assert all(folder.is_dir() for folder in found)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.batch=3000", r"train\.batch: the training text .* a batch of 3,000 needs"),
        ("train.eval_batch=3000", r"train\.eval_batch: the validation text"),
        ("spectrum.steps=60", r"2 sequences × 62 steps .* needs 124"),
    ],
)
def test_a_text_that_is_too_small_leaves_no_folder(recipe, tmp_path, setting, message):
    small = tiny_recipe(tmp_path / "text", setting)
    with pytest.raises(CorpusError, match=message):
        hyperprune.run(small, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_impossible_candidate_costs_that_candidate(recipe, tmp_path):
    given = tiny_recipe(tmp_path / "text", "space={batch=[4, 3000]}")
    result = hyperprune.run(given, folder=tmp_path / "run")
    states = {item.configuration["train.batch"]: item for item in result.candidates}
    assert states[4].state == "winner"
    assert states[3000].state == "failed"
    assert "a batch of 3,000 needs" in states[3000].cause


def test_a_run_in_which_all_failed_is_over_and_says_so(recipe, tmp_path):
    given = tiny_recipe(tmp_path / "text", "space={batch=[3000, 3001]}")
    folder, seen = tmp_path / "run", []
    with pytest.raises(RunError, match=r"every candidate failed.*\nthis run is over"):
        hyperprune.run(given, folder=folder, observers=[seen.append])
    notices = [e.message for e in seen if isinstance(e, events.Notice)]
    assert any("every candidate will fail alike" in message for message in notices)
    assert "every candidate failed" in standing(folder).ended
    page = render(folder)
    assert "This run is over, without a result: every candidate failed" in page
    assert "hyperprune resume" not in page
    found = {check.name: check for check in check_run(folder)}
    assert found["result"].state == "wrong"
    assert "in a new run" in found["result"].found
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(RunError, match="this run is over"):
        hyperprune.resume(folder)
    assert (folder / "journal.jsonl").read_bytes() == before


def test_what_fails_alike_is_the_recipes_fault(recipe, tmp_path):
    given = tiny_recipe(
        tmp_path / "text", "space={lr=[1e30, 2e30]}", "train.clip=0", "train.batch=4"
    )
    with pytest.raises(RunError, match="every candidate failed"):
        hyperprune.run(given, folder=tmp_path / "run")


def test_an_observer_that_fails_is_told_no_more(recipe, tmp_path):
    calls, seen = [], []

    def observe(event):
        calls.append(event)
        raise OSError(28, "No space left on device")

    result = hyperprune.run(recipe, folder=tmp_path / "run", observers=[observe, seen.append])
    assert result.winner
    assert len(calls) == 1
    assert "No space left" in (tmp_path / "run" / "log.jsonl").read_text()


def test_gradual_pruning_goes_from_dense_to_sparse_and_wins_with_what_was_asked(recipe, tmp_path):
    given = tiny_recipe(
        tmp_path / "text", "prune.preset=gradual", "train.epochs=8", "rounds.first=3"
    )
    seen = []
    result = hyperprune.run(given, folder=tmp_path / "run", observers=[seen.append])
    assert result.active == round(0.5 * result.masked)
    record = hyperprune.store.run.Run.open(tmp_path / "run").outcome(result.winner)
    counts = [epoch.active for epoch in record.epochs]
    assert counts[0] > counts[-1] == result.active
    assert counts == sorted(counts, reverse=True)
    assert counts[result.best.best_epoch - 1] == result.active
    for kind in (events.EpochFinished, events.SpectrumMeasured):
        told = [(e.candidate, e.epoch, e.arrived) for e in seen if isinstance(e, kind)]
        assert all(arrived for name, _, arrived in told if name == events.DENSE)
        on_time = {epoch: arrived for name, epoch, arrived in told if name == result.winner}
        assert {epoch for epoch, arrived in on_time.items() if arrived} == {7, 8}  # stop is 0.75
        assert {counts[epoch - 1] for epoch in (7, 8)} == {result.active}


def test_unknown_recipes_are_still_named(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        hyperprune.run(tmp_path / "none.toml")
