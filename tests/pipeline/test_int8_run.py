"""Finalists trained on as int8: their files hold what was trained, and a stopped run goes on to the bit."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hyperprune
from hyperprune import events
from hyperprune.errors import Stopped
from hyperprune.export.c.matrices import unpacked
from hyperprune.export.c.write import packed_of, program_of
from hyperprune.judgement.int8 import Int8Point
from hyperprune.judgement.result import RunResult
from hyperprune.store import atomic
from hyperprune.testing import tiny_run
from hyperprune.training.int8 import rounded
from hyperprune.ui.int8 import int8_words

SETTINGS = ("final.int8_epochs=2", "final.finalists=2", "search.workers=1")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # no dense reference of another process
        patch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return tiny_run(tmp_path_factory.mktemp("int8"), *SETTINGS)


def test_every_finalist_has_three_values(result):
    assert {point.name for point in result.int8.finalists} == {"c000", "c001"}
    own = result.int8.point(result.winner)
    assert own.valid_value == result.best.valid_value
    assert own.tuned  # two more epochs of a network that has hardly begun
    assert own.tuned_value < own.rounded_value
    assert result.search_epochs == 2 * 2 + 2 * 2
    assert RunResult.from_json(result.to_json(), Path(result.folder)) == result
    assert f"{own.tuned_value:.2f} after 2 epochs as int8" in int8_words(result)
    assert "| as int8 |" in (Path(result.folder) / "card.md").read_text()


def test_nothing_else_of_the_result_changes(result, tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "cache"))
    plain = tiny_run(tmp_path, *SETTINGS, "final.int8_epochs=0").to_json()
    with_int8 = result.to_json()
    assert with_int8.pop("int8") is not None
    for counted in ("search_epochs", "full_search_epochs"):
        assert with_int8.pop(counted) == plain.pop(counted) + 2 * 2
    assert with_int8 == plain


def test_int8_files_hold_what_was_trained(result, tmp_path):
    network = hyperprune.load_winner(result.folder)
    assert network.int8.about.candidate == f"{result.winner}-int8"
    assert network.int8.test_value == result.int8.test_value
    trained = dict(network.int8.model.named_parameters())
    for name, mask in network.masks.items():
        assert torch.equal(network.int8.masks[name], mask)
    network.export("compact", tmp_path / "net.hp", dtype="int8")
    loaded = hyperprune.load_exported(tmp_path / "net.hp")
    for name, parameter in loaded.model.named_parameters():
        assert torch.equal(parameter, trained[name])
    assert "as int8 holds them" in (tmp_path / "net.hp.md").read_text()
    program = program_of(network.int8)
    packed, _ = packed_of(network.int8, program, "int8", "csr")
    for key, (weight, _) in program.matrices.items():
        assert np.array_equal(unpacked(packed[key]), weight.numpy())
    network.export("compact", tmp_path / "plain.hp")  # float32 files are of the float32 network
    plain = dict(hyperprune.load_exported(tmp_path / "plain.hp").model.named_parameters())
    assert all(torch.equal(p, plain[name]) for name, p in network.model.named_parameters())


def test_where_rounding_is_better_files_are_rounded(result, tmp_path):
    folder = tmp_path / "run"
    folder.parent.mkdir(exist_ok=True)
    said = result.to_json()
    for point in said["int8"]["finalists"]:
        point["tuned"] = False
    shutil.copytree(result.folder, folder)
    atomic.write_json(folder / "result.json", said)
    network = hyperprune.load_winner(folder)
    assert network.int8 is None
    network.export("compact", tmp_path / "net.hp", dtype="int8")
    loaded = dict(hyperprune.load_exported(tmp_path / "net.hp").model.named_parameters())
    for name, parameter in network.model.named_parameters():
        own = parameter.detach()
        assert torch.equal(loaded[name], rounded(own) if own.dim() > 1 else own)
    assert "rounded weights" in int8_words(RunResult.from_json(said, folder))


def test_a_stopped_run_goes_on_to_the_bit(result, tmp_path):
    def observe(event):
        if isinstance(event, events.EpochFinished) and event.candidate == "c000-int8":
            raise Stopped("enough")

    with pytest.raises(Stopped):
        tiny_run(tmp_path, *SETTINGS, observers=[observe])
    folder = tmp_path / "run"
    assert (folder / "c000-int8" / "checkpoint.safetensors").exists()
    again = hyperprune.resume(folder)
    assert again.to_json() == result.to_json()
    for name in ("c000-int8", "c001-int8"):
        mine = atomic.read_tensors(folder / name / "best.safetensors")[0]
        other = atomic.read_tensors(Path(result.folder) / name / "best.safetensors")[0]
        assert all(torch.equal(mine[key], other[key]) for key in other)
        assert not (folder / name / "given.safetensors").exists()


def test_another_finalist_may_be_better_as_int8(result):
    points = (
        Int8Point("c000", 30.0, 31.0, 30.5, True),
        Int8Point("c001", 30.2, 30.3, None, False),
    )
    told = replace(result, winner="c000", int8=replace(result.int8, finalists=points))
    assert int8_words(told).endswith("As int8 c001 is the better one, 30.30")
    failed = replace(result, winner="c001", int8=replace(result.int8, finalists=points))
    assert "its training as int8 failed; int8 files hold the rounded weights" in int8_words(failed)
