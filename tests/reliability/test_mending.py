"""What goes wrong around a run is said, and mended by going on: the bits do not show it."""

import json
import os
import shutil
import time

import pytest
import torch
from sittings import contents
from targets import RECIPE

import hyperprune
from hyperprune import events
from hyperprune.errors import RecipeError, RunError, Stopped
from hyperprune.execution import worker
from hyperprune.plan import disk
from hyperprune.plan.make import make_plan
from hyperprune.plan.settle import settle
from hyperprune.recipe import space_of
from hyperprune.store import atomic
from hyperprune.training.outcome import Failure, Outcome


@pytest.fixture(scope="module")
def recipe(toy_text, tmp_path_factory):
    """2 candidates to epoch 3, 1 finalist to 4: a run in some tenths of a second."""
    path = tmp_path_factory.mktemp("mending") / "small.toml"
    path.write_text(
        RECIPE.format(root=str(toy_text))
        .replace("epochs = 3", "epochs = 4", 1)
        .replace("candidates = 2", "candidates = 3\n[rounds]\nkeep = 0.3")
    )
    return path


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("whole") / "run"
        hyperprune.run(recipe, folder=folder)
        return contents(folder)


def stop_at(kind, number):
    """An observer that stops a run at the n-th event of a kind."""
    left = number

    def observe(event):
        nonlocal left
        left -= isinstance(event, kind)
        if left == 0 and isinstance(event, kind):
            raise Stopped("enough")

    return observe


def stopped(recipe, folder, kind=events.RoundFinished, number=1):
    with pytest.raises(Stopped):
        hyperprune.run(recipe, folder=folder, observers=[stop_at(kind, number)])


@pytest.mark.parametrize(
    "lost",
    [
        "journal.jsonl", "recipe.toml", "log.jsonl", "lock", "dense", "c000",
        "c001/checkpoint.safetensors", "c000/best.safetensors", "c002/spectra/0002.safetensors",
    ],
)  # fmt: skip
def test_what_is_lost_is_made_again(recipe, whole, tmp_path, lost):
    folder = tmp_path / "run"
    stopped(recipe, folder)
    path = folder / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    hyperprune.resume(folder)
    assert contents(folder) == whole


KILLED = Failure("killed", "its worker was killed")


def killing(patch, name, epochs):
    """Have the worker of a candidate killed once it has trained until an epoch."""
    advance = worker.advance

    def killed(job, *rest):
        outcome = advance(job, *rest)
        if job.candidate != name or job.epochs != epochs:
            return outcome
        return Outcome(name, (), KILLED)

    patch.setattr(worker, "advance", killed)


def test_what_the_winner_lost_is_made_again_until_its_last_epoch(recipe, tmp_path, monkeypatch):
    """The stage that notices asked for 3 epochs of it, and its best is the 4th."""
    folder = tmp_path / "run"
    result = hyperprune.run(recipe, folder=folder, overrides=["final.keep='all'", "train.lr=0.5"])
    assert result.best.best_epoch == 4
    before, best = contents(folder), folder / result.winner / "best.safetensors"
    kept, tensors = best.read_bytes(), atomic.read_tensors(best)[0]
    said = []
    losses = [
        ("is gone", (folder / result.winner / "spectra" / "0001.safetensors").unlink),
        ("is gone", best.unlink),
        (
            "is of epoch 2, and epoch 4 was better",
            lambda: atomic.write_tensors(best, tensors, {"epoch": 2}),
        ),
    ]
    for phrase, lose in losses:
        (folder / "result.json").unlink()
        lose()
        assert hyperprune.resume(folder, observers=[said.append]) == result
        assert contents(folder) == before
        assert best.read_bytes() == kept
        notices = [event.message for event in said if isinstance(event, events.Notice)]
        assert f"{phrase}; {result.winner} is trained anew, to the same" in notices[-1]
    (folder / "result.json").unlink()
    best.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(worker, "advance", lambda job, *_: Outcome(job.candidate, (), KILLED))
        with pytest.raises(RunError, match=f"{result.winner} failed: .* resume tries again"):
            hyperprune.resume(folder)
    assert hyperprune.resume(folder) == result
    assert contents(folder) == before


def test_who_was_killed_keeps_the_epochs_that_it_had(recipe, tmp_path, monkeypatch):
    folder, survivor = tmp_path / "run", []

    def note(event):
        if isinstance(event, events.RoundFinished):
            survivor[:] = event.kept
            killing(monkeypatch, *survivor, 4)

    result = hyperprune.run(recipe, folder=folder, observers=[note])
    (killed,) = [item for item in result.candidates if item.state == "failed"]
    assert [killed.name] == survivor
    assert killed.epochs == 4
    before = contents(folder)
    (folder / "result.json").unlink()
    assert hyperprune.resume(folder) == result
    assert contents(folder) == before


def test_a_damaged_checkpoint_is_named_and_can_be_deleted(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    stopped(recipe, folder, events.EpochFinished, 9)
    checkpoint = next(folder.glob("c*/checkpoint.safetensors"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"checkpoint\.safetensors.*without that file") as error:
        hyperprune.resume(folder)
    assert str(checkpoint) in str(error.value)
    checkpoint.unlink()
    hyperprune.resume(folder)
    assert contents(folder) == whole


@pytest.mark.parametrize("lost", ["journal.jsonl", "."])
def test_files_that_go_under_our_feet(recipe, whole, tmp_path, lost):
    folder = tmp_path / "run"

    def remove(event):
        if isinstance(event, events.EpochFinished) and event.candidate == "c001":
            path = folder / lost
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    with pytest.raises(RunError, match="cannot write"):
        hyperprune.run(recipe, folder=folder, observers=[remove])
    if lost == ".":
        shutil.rmtree(folder, ignore_errors=True)
        hyperprune.run(recipe, folder=folder)
    else:
        hyperprune.resume(folder)
    assert contents(folder) == whole


def test_a_journal_cut_by_somebody_else_is_noticed(recipe, whole, tmp_path):
    folder = tmp_path / "run"

    def cut(event):
        if isinstance(event, events.EpochFinished) and event.candidate == "c001":
            os.truncate(folder / "journal.jsonl", 10)

    with pytest.raises(RunError, match="was cut from"):
        hyperprune.run(recipe, folder=folder, observers=[cut])
    hyperprune.resume(folder)
    assert contents(folder) == whole


def test_clocks_that_jump_do_not_show(recipe, whole, tmp_path, monkeypatch):
    jumps = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    monkeypatch.setattr(time, "strftime", lambda *_: "1969-12-31T23:59:59")
    hyperprune.run(recipe, folder=tmp_path / "run")
    assert contents(tmp_path / "run") == whole


def test_a_link_in_a_run_folder_is_refused(recipe, tmp_path):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    stopped(recipe, folder)
    outside.mkdir()
    shutil.rmtree(folder / "c001")
    (folder / "c001").symlink_to(outside)
    with pytest.raises(RunError, match="c001 is a link"):
        hyperprune.resume(folder)
    assert not any(outside.iterdir())
    (folder / "c001").unlink()
    treasure = outside / "treasure"
    treasure.write_text("mine")
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(treasure)
    with pytest.raises(RunError, match="cannot lock"):
        hyperprune.resume(folder)
    assert treasure.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["../../escaped", "/tmp/escaped", "c0/..", "dense", "c1", "\x1b[2J"]
)
def test_candidates_are_called_what_we_call_them(recipe, tmp_path, name):
    folder = tmp_path / "run"
    stopped(recipe, folder, events.CandidateProposed, 1)
    path = folder / "journal.jsonl"
    path.write_text(path.read_text().replace('"c000"', json.dumps(name)))
    with pytest.raises(RunError, match="damaged at line 2"):
        hyperprune.resume(folder)


def test_a_configuration_from_outside_the_space_is_refused(recipe, tmp_path):
    folder = tmp_path / "run"
    stopped(recipe, folder, events.CandidateProposed, 1)
    path = folder / "journal.jsonl"
    path.write_text(
        path.read_text().replace('"prune.removal":', '"data.root": "/etc", "prune.removal":')
    )
    with pytest.raises(RunError, match="outside the recipe's space"):
        hyperprune.resume(folder)


def failing(monkeypatch, name, epoch, errors):
    """Make a candidate fail at an epoch, once with each error."""
    measure, pending = worker.measure_spectrum, list(errors)
    train = worker._train
    now = []

    def training(job, *rest):
        now[:] = [job.candidate]
        train(job, *rest)

    def measured(trainer, *rest):
        if now == [name] and trainer.epoch == epoch and pending:
            raise pending.pop(0)
        return measure(trainer, *rest)

    monkeypatch.setattr(worker, "_train", training)
    monkeypatch.setattr(worker, "measure_spectrum", measured)


CPU = RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried to allocate")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), CPU]
)
def test_memory_that_ran_out_once_does_not_show(recipe, whole, tmp_path, monkeypatch, error):
    failing(monkeypatch, "c001", 2, [error])
    hyperprune.run(recipe, folder=tmp_path / "run")
    assert contents(tmp_path / "run") == whole


def test_memory_that_runs_out_again_costs_the_candidate(recipe, tmp_path, monkeypatch):
    failing(monkeypatch, "c001", 2, [MemoryError("no more")] * 2)
    result = hyperprune.run(recipe, folder=tmp_path / "run")
    failed = [item for item in result.candidates if item.state == "failed"]
    assert [(item.name, item.cause) for item in failed] == [("c001", "out of memory: no more")]


def test_what_cannot_pass_is_not_tried_again(recipe, tmp_path, monkeypatch):
    failing(monkeypatch, "c001", 2, [ValueError("mine")])  # a second try would succeed
    result = hyperprune.run(recipe, folder=tmp_path / "run")
    assert {item.cause for item in result.candidates} == {None, "ValueError: mine"}


def test_a_dense_reference_without_memory_stops_the_run_and_no_more(
    recipe, whole, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        failing(patch, "dense", 2, [MemoryError()] * 2)
        with pytest.raises(RunError, match="resume tries again"):
            hyperprune.run(recipe, folder=tmp_path / "run")
    hyperprune.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == whole


def test_a_device_that_is_gone_is_no_candidates_failure(recipe, whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    stopped(recipe, folder, events.CandidateProposed, 1)
    with monkeypatch.context() as patch:

        def gone(*_, **__):
            raise RecipeError(["train.device: found 'cuda', but torch sees no GPU"])

        patch.setattr(worker, "build_trainer", gone)
        with pytest.raises(RunError, match="torch sees no GPU"):
            hyperprune.resume(folder)
    hyperprune.resume(folder)
    assert contents(folder) == whole


def test_a_resumed_round_sees_what_it_saw_before_a_later_failure(recipe, tmp_path, monkeypatch):
    """The survivor of round 1 fails in the final: going on must not choose another survivor."""
    recipe = hyperprune.load_recipe(recipe, ["final.rescue=false"])
    survivor = []

    def note(event):
        if isinstance(event, events.RoundFinished) and event.round == 1:
            survivor[:] = event.kept

    hyperprune.run(recipe, folder=tmp_path / "first", observers=[note])
    for name in survivor:
        failing(monkeypatch, name, 4, [ValueError("late")] * 9)
    with pytest.raises(RunError, match="every finalist failed"):
        hyperprune.run(recipe, folder=tmp_path / "run")
    facts = (tmp_path / "run" / "journal.jsonl").read_bytes()
    seen = []
    with pytest.raises(RunError, match="every finalist failed"):
        hyperprune.resume(tmp_path / "run", observers=[seen.append])
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == facts
    assert not any(isinstance(event, events.EpochFinished) for event in seen)


def test_where_every_finalist_fails_the_best_of_the_others_is_trained_on(
    recipe, tmp_path, monkeypatch
):
    survivor = []

    def note(event):
        if isinstance(event, events.RoundFinished) and event.round == 1:
            survivor[:] = event.kept

    hyperprune.run(recipe, folder=tmp_path / "first", observers=[note])
    for name in survivor:
        failing(monkeypatch, name, 4, [ValueError("late")] * 9)
    result = hyperprune.run(recipe, folder=tmp_path / "run")
    assert result.winner not in survivor
    assert result.best.epochs == hyperprune.load_recipe(recipe).train.epochs
    assert hyperprune.resume(tmp_path / "run") == result


def test_a_cache_that_cannot_be_written_costs_nothing(recipe, whole, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "file"))
    seen = []
    hyperprune.run(recipe, folder=tmp_path / "run", observers=[seen.append])
    assert any(isinstance(e, events.Notice) and "not cached" in e.message for e in seen)
    assert contents(tmp_path / "run") == whole


def test_states_that_nothing_needs_are_dropped(recipe, tmp_path):
    folder = tmp_path / "run"
    hyperprune.run(recipe, folder=folder)
    assert not list(folder.rglob("checkpoint.safetensors"))
    kept = sorted(path.parent.name for path in folder.rglob("best.safetensors"))
    assert len(kept) == 2, kept  # of the dense reference and the finalist
    assert len(list(folder.rglob("0003.safetensors"))) == 4  # spectra of every training stay
    assert not list(folder.rglob("*.partial"))


def test_weights_are_kept_where_the_recipe_says_so(recipe, tmp_path):
    folder = tmp_path / "run"
    hyperprune.run(recipe, folder=folder, overrides=["final.keep='all'"])
    assert len(list(folder.rglob("best.safetensors"))) == 4
    hyperprune.load_candidate(folder, "c000")


def test_the_disk_that_a_run_needs(recipe):
    """100 weights, 3 candidates for 3 epochs and one to the 4th, which is too early for averages:
    a checkpoint is 4 + 2 bytes a weight, best weights are 4 + 1."""
    loaded = hyperprune.load_recipe(recipe)
    space = space_of(loaded)
    plan = make_plan(loaded, space.size)
    train = loaded.train
    assert train.nonmono == 5
    assert disk.checkpoint_bytes(100, train, 7) == 1800
    assert disk.checkpoint_bytes(100, train, 6) == 1000
    assert disk.checkpoint_bytes(100, train, 6, gradients=False) == 600
    assert disk.best_bytes(100) == 500
    epochs = 4 + 3 * 3 + 1  # dense, the pool, the finalist
    spectra = epochs * 10 * 8 * (2 + 4)  # √100 exponents in 2 sequences and 4 means
    journal = epochs * disk.JOURNALED
    first = (3 + 1 + 1) * 600 + 3 * 500  # the pool, a worker's next, the dense reference's
    assert disk.run_bytes(plan, 100, loaded, space, 1) == first + 2 * 500 + spectra + journal


def test_a_control_that_reads_averaged_gradients_needs_more_disk(recipe):
    plain, averaging = (
        hyperprune.load_recipe(recipe, [f"prune.growth='{name}'"])
        for name in ("random", "momentum")
    )
    needs = [disk.run_bytes(make_plan(r, 4), 100, r, space_of(r), 1) for r in (plain, averaging)]
    assert needs[1] - needs[0] == (3 + 1) * 400


def test_a_run_fits_in_what_was_estimated(recipe, tmp_path):
    folder = tmp_path / "run"
    stopped(recipe, folder)
    loaded = hyperprune.load_recipe(recipe)
    settled = settle(loaded)
    kept, _ = hyperprune.store.atomic.read_tensors(folder / "dense" / "best.safetensors")
    assert settled.weights == sum(tensor.numel() for tensor in kept.values())
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    headers = 20_000 * 5  # a toy's files are mostly headers
    assert written < settled.disk + headers


@pytest.mark.parametrize(("free", "refused"), [(1000, True), (60_000, False)])
def test_too_little_disk_is_said_before_it_is_full(recipe, tmp_path, monkeypatch, free, refused):
    usage = type(shutil.disk_usage("/"))(10**12, 10**12 - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    if refused:
        with pytest.raises(RunError, match=r"1\.0 kB free; the first epochs alone write"):
            hyperprune.run(recipe, folder=tmp_path / "run")
        return
    seen = []
    hyperprune.run(recipe, folder=tmp_path / "run", observers=[seen.append])
    assert any(isinstance(e, events.Notice) and "of disk" in e.message for e in seen)


def test_sizes_as_people_say_them():
    assert [disk.show_bytes(size) for size in (0, 999, 1000, 32_500_000, 7 * 10**12, 10**16)] == [
        "0 bytes", "999 bytes", "1.0 kB", "32.5 MB", "7.0 TB", "10000.0 TB",
    ]  # fmt: skip
