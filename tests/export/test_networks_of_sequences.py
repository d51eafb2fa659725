"""Networks that read sequences: loaded, scored to the run's own figures, exported, refused in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

import hyperprune
from hyperprune.corpus.load import _load_corpus
from hyperprune.errors import CorpusError, PluginError, RunError
from hyperprune.export.c.check import compiler, run_c
from hyperprune.pipeline import run as api
from hyperprune.sources.network import Given
from hyperprune.testing import tiny_arrays, tiny_recipe

SETTINGS = (
    "data.corpus=arrays",
    "task.name=classification",
    "spectrum.burn_in=0",
    "spectrum.steps=5",
    "train.lr=0.5",
    "final.keep=all",
)

SANITIZED = ("-O1", "-DHP_PLAIN", "-fsanitize=address,undefined", "-fno-sanitize-recover")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run without its data, held-out arrays elsewhere, and the winner."""
    folder = tmp_path_factory.mktemp("sequences")
    arrays = tiny_arrays(folder / "arrays")
    result = api.run(tiny_recipe(arrays, *SETTINGS), folder=folder / "run")
    shutil.move(arrays, folder / "kept")
    return folder, result, hyperprune.load_winner(folder / "run")


def test_the_winner_scores_as_its_run_did(made):
    folder, result, winner = made
    test = winner.score(folder / "kept" / "test.npz")
    assert test.metric == winner.metric == result.metric
    assert test.value == pytest.approx(result.test_value)
    assert winner.test_value == result.test_value
    assert winner.score(folder / "kept" / "valid.npz").value == pytest.approx(winner.valid_value)
    assert winner.valid_value == result.best.valid_value
    assert winner.dense_value == result.dense_value
    assert winner.valid_perplexity is None
    dense = hyperprune.load_dense(folder / "run")
    assert dense.score(folder / "kept" / "test.npz").value == pytest.approx(result.dense_test_value)


def test_every_sequence_has_its_answer(made):
    """What is told of each adds up; outputs are those after its own last step, scaled as in the run."""
    folder, _, winner = made
    held = np.load(folder / "kept" / "test.npz")
    x, y, lengths = held["x"], held["y"], held["lengths"]
    rows = [torch.from_numpy(row[:size]) for row, size in zip(x, lengths, strict=True)]
    score = winner.score((rows, y))
    assert score.value == pytest.approx(winner.test_value)
    outputs = winner.answer(rows)
    mean, scale = (torch.tensor(getattr(winner.about.reads, name)) for name in ("mean", "scale"))
    for row, label, own, answer in zip(rows, y, outputs, score.answers, strict=True):
        assert own.tolist() == pytest.approx(answer.outputs.tolist())
        alone, _ = winner.predict(((row - mean) / scale)[:, None], winner.initial_state(1))
        assert own.tolist() == pytest.approx(alone[-1, 0].tolist(), abs=1e-6)
        assert answer.cost == float(own.argmax() != label)
        assert answer.loss == pytest.approx(-float(own.log_softmax(-1)[label]), abs=1e-6)
    assert score.loss == pytest.approx(sum(a.loss for a in score.answers) / len(rows))


@pytest.mark.parametrize(
    "options",
    [
        {"format": "safetensors"},
        {"format": "compact"},
        pytest.param({"format": "onnx"}, marks=pytest.mark.slow),
        pytest.param({"format": "onnx", "form": "sequence"}, marks=pytest.mark.slow),
    ],
    ids=lambda options: "-".join(options.values()),
)
def test_what_is_exported_scores_alike(made, options, tmp_path):
    folder, result, winner = made
    written = winner.export(path=tmp_path / "network", **options)
    again = hyperprune.load_exported(written.path)
    score = again.score(folder / "kept" / "test.npz")
    assert score.value == pytest.approx(result.test_value)
    assert score.loss == pytest.approx(winner.score(folder / "kept" / "test.npz").loss, abs=1e-5)
    assert (again.valid_value, again.metric) == (winner.valid_value, winner.metric)
    said = written.card.read_text()
    for words in ("task | classification", "test accuracy", "2 features a step, less their means"):
        assert words in said
    assert "perplexity" not in said.replace('goal = "perplexity"', "")
    assert str(folder) not in said
    assert str(folder).encode() not in written.path.read_bytes()


def test_a_torch_program_takes_features_and_state(made, tmp_path):
    _, _, winner = made
    written = winner.export("torch", tmp_path / "network.pt2")
    program = torch.export.load(written.path).module()
    x, state = torch.randn(4, 2), winner.initial_state(4)
    with torch.no_grad():
        outputs, after = program(x, state)
    wanted, end = winner.predict(x[None], state)
    torch.testing.assert_close(outputs, wanted[0])
    torch.testing.assert_close(after, end)
    fast = winner.compiled("sparse")
    torch.testing.assert_close(fast.predict(x[None], state)[0], wanted)


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
@pytest.mark.parametrize("number", ["float32", "int8"])
def test_in_c_it_reads_features_as_the_data_have_them(made, number, tmp_path):
    folder, _, winner = made
    written = winner.export("c", tmp_path / "net", dtype=number)
    assert "Compiled by" in written.card.read_text()
    files = {name: (tmp_path / "net" / name).read_text() for name in ("net.c", "net.h")}
    held = np.load(folder / "kept" / "test.npz")
    row = held["x"][0][: held["lengths"][0]]
    found = run_c(files, "net", 3, row, flags=SANITIZED, cc=compiler())  # (T, 3)
    wanted = winner.answer([torch.from_numpy(row)])[0].numpy()
    assert np.abs(found[-1] - wanted).max() < (1e-5 if number == "float32" else 0.1)
    command = ["make", "test", f"CC={compiler()}", "CFLAGS=-O1 -Werror"]
    ran = subprocess.run(command, cwd=tmp_path / "net", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_network_without_a_step_is_refused_in_c(made, tmp_path):
    winner = made[2]
    whole = replace(winner, model=Given(winner.model))
    with pytest.raises(RunError, match="no step to write in C"):
        whole.export("c", tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_what_a_network_of_sequences_does_not_do(made, tmp_path):
    folder, _, winner = made
    with pytest.raises(RunError, match="task 'classification': it foretells no words"):
        winner.generate("a").send(None)
    x, y = torch.zeros(2, 5, 2), [0, 2]
    for given, said in (
        (("a text",), "data: found tuple of other things"),
        ("a text", "data: found str of other things; expected"),
        (folder / "kept" / "tests.npz", r"there is no file .*tests\.npz"),
        (folder / "run" / "recipe.toml", r"recipe\.toml is none of \.npz, \.safetensors, \.csv"),
        ((torch.zeros(2, 5, 3), y), "data: x has 3 features; the network reads 2"),
        ((x, [0, 3]), "data, row 1: label 3 is not among the 3 classes"),
        ((x, [0, -1]), "data, row 1: label -1 is below 0"),
        ((x.log() - x.log(), y), "data, row 0: x is nan at step 0, feature 0"),
        ((x, [0.5, 1.5]), r"torch.float32 .* needs integers"),
        ((x, [0]), "y has 1 rows, and x has 2 sequences"),
    ):
        with pytest.raises(CorpusError, match=said):
            winner.score(given)
    assert not list(tmp_path.iterdir())


def test_a_language_model_answers_no_sequences(finished):
    winner = hyperprune.load_winner(finished)
    with pytest.raises(RunError, match="reads a text, not sequences of numbers"):
        winner.answer(torch.zeros(1, 2, 3))
    with pytest.raises(RunError, match="found PosixPath; this network scores a text"):
        winner.score(finished / "recipe.toml")


def test_what_says_of_itself_what_is_not_so_is_refused(made, tmp_path):
    folder, _, winner = made
    shutil.copytree(folder / "run", tmp_path / "run")
    path = tmp_path / "run" / "sequences.json"
    said = json.loads(path.read_text())
    for changed, wrong in (
        ({"inputs": 3}, "mean has 2 numbers for 3 features"),
        ({"scale": [0.0, 1.0]}, "greater than 0"),
        ({"mean": None}, "mean and scale go together"),
        ({"more": 1}, "more: Extra inputs"),
    ):
        path.write_text(json.dumps(said | changed))
        with pytest.raises(RunError, match=rf"sequences\.json is damaged: .*{wrong}"):
            hyperprune.load_winner(tmp_path / "run")
    path.write_text(json.dumps(said | {"outputs": 4}))
    with pytest.raises(RunError, match="does not fit its model"):
        hyperprune.load_winner(tmp_path / "run")
    path.unlink()  # as of an older hyperprune: data are needed
    _load_corpus.cache_clear()
    with pytest.raises(RunError, match=r"has no sequences\.json, and its data are absent"):
        hyperprune.load_winner(tmp_path / "run")
    maker = winner.about.makers["task"].model_copy(update={"name": "other", "package": "other"})
    about = winner.about.model_copy(update={"makers": {"task": maker}})
    with pytest.raises(PluginError, match="needs task 'other' of other"):
        about.check_plugins()
