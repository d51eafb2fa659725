"""Whole runs of tasks that are no language models: their words, their keys, resuming, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hyperprune import load_run, resume
from hyperprune.errors import CorpusError, RecipeError, Stopped
from hyperprune.events import EpochFinished, RunStarted
from hyperprune.judgement.glance import glance
from hyperprune.judgement.standing import standing
from hyperprune.pipeline import run as api
from hyperprune.recipe import dumps, loads
from hyperprune.store.cache import dense_key
from hyperprune.testing import tiny_arrays, tiny_recipe

SETTINGS = (
    "data.corpus=arrays",
    "task.name=classification",
    "spectrum.burn_in=0",
    "spectrum.steps=5",
    "train.lr=0.5",
)


def recipe(folder, *settings):
    return tiny_recipe(tiny_arrays(folder / "arrays"), *SETTINGS, *settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classified")
    told = []
    result = api.run(recipe(folder), folder=folder / "run", observers=[told.append])
    return folder / "run", result, told


def test_results_are_told_in_accuracy(finished):
    folder, result, _ = finished
    assert result.metric.name == "accuracy"
    assert 0 <= result.test_accuracy <= 1
    assert result.test_accuracy == result.test_value
    said = json.loads((folder / "result.json").read_text())
    assert said["metric"]["name"] == "accuracy"
    assert {"dense_accuracy", "test_accuracy", "accuracies", "dense_accuracies"} <= said.keys()
    assert all("valid_accuracy" in item for item in said["candidates"])
    assert "perplexity" not in json.dumps({k: v for k, v in said.items() if k != "goal"})
    assert load_run(folder) == result
    with pytest.raises(AttributeError, match="told in accuracy has no 'test_perplexity'"):
        _ = result.test_perplexity


def test_the_winner_and_the_target_go_by_accuracy(finished):
    _, result, _ = finished
    done = [item for item in result.candidates if item.epochs == 2]
    assert result.best.valid_value == max(item.valid_value for item in done)
    met = result.best.valid_value >= result.dense_value
    assert (result.best.met_target is not None) == met


def test_events_and_lists_know_the_metric(finished):
    folder, result, told = finished
    (started,) = [event for event in told if isinstance(event, RunStarted)]
    assert started.metric == result.metric
    epochs = [event for event in told if isinstance(event, EpochFinished)]
    assert all(event.valid_cost is not None and event.cost == event.valid_cost for event in epochs)
    assert glance(folder).to_json()["accuracy"] == result.best.valid_value
    assert standing(folder).to_json()["result"]["test_accuracy"] == result.test_accuracy


def test_the_winner_says_what_it_reads(finished):
    folder, _, _ = finished
    about = json.loads((folder / "winner" / "settings.json").read_text())
    assert about["features"] == 2
    assert len(about["mean"]) == len(about["scale"]) == 2
    assert set(about["made_by"]) == {"model", "corpus", "task"}
    assert not (folder / "vocabulary.json").exists()


def test_a_stopped_run_goes_on_to_the_same_bits(finished, tmp_path):
    folder, _, _ = finished

    class Stop:
        epochs = 0

        def __call__(self, event):
            if isinstance(event, EpochFinished):
                self.epochs += 1
                if self.epochs == 3:
                    raise Stopped("stopped")

    with pytest.raises(Stopped):
        api.run(recipe(tmp_path), folder=tmp_path / "run", observers=[Stop()])
    resume(tmp_path / "run")
    for name in ("journal.jsonl", "result.json", "winner/weights.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_default_task_is_said_nowhere(tmp_path):
    plain = tiny_recipe(tmp_path)
    assert "task" not in plain.model_dump()
    assert "[task]" not in dumps(plain)
    assert loads(dumps(plain)) == plain
    other = recipe(tmp_path, 'task.metric="error_rate"')
    assert "[task]" in dumps(other)
    assert loads(dumps(other)) == other
    keys = {dense_key(item, "text", {}) for item in (recipe(tmp_path), other)}
    assert len(keys) == 2


def test_data_and_model_must_suit_the_task(tmp_path):
    text = ["task.name=language_modelling"]
    with pytest.raises(CorpusError, match="'language_modelling' needs a text"):
        api.run(recipe(tmp_path, *text), folder=tmp_path / "run")
    with pytest.raises(
        RecipeError, match=r"models that read features: .*, gru, .*, rnn, .*stacked_lstm$"
    ):
        api.run(
            recipe(tmp_path, 'model={name="awd_lstm_mos", embedding=5, hidden=7, last=6}'),
            folder=tmp_path / "run",
        )
    with pytest.raises(
        RecipeError, match=r"task.name: no task named 'classificaton' \(did you mean"
    ):
        recipe(tmp_path, "task.name=classificaton")
    assert not (tmp_path / "run").exists()


def held_out(folder, wrong):
    """Ten validation sequences that a network learns at once, one label turned: 90 % is the best."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    for split, count in (("train", 60), ("valid", 10), ("test", 10)):
        y = np.arange(count) % 2
        x = draw.normal(size=(count, 6, 2)) + np.where(y, 2, -2)[:, None, None]
        if split == "valid":
            y[wrong] = 1 - y[wrong]
        np.savez(folder / f"{split}.npz", x=x.astype(np.float32), y=y)
    return folder


@pytest.mark.parametrize("rows", [2, 3, 10])
def test_as_many_right_answers_are_as_good_however_they_are_batched(tmp_path, rows):
    """Of equal epochs the first is the best, for the weights as for the words; 90 % meets 90 %."""
    said = (
        *("train.optimizer=adam", "train.lr=0.01", "train.epochs=5", f"train.eval_batch={rows}"),
        *("dense.target=0.9", "search.objective=loss", "rounds.first=3", "prune.update=epoch"),
    )
    made = tiny_recipe(held_out(tmp_path / "nine", 3), *SETTINGS[:4], *said)
    result = api.run(made, folder=tmp_path / "run")
    assert result.best.valid_value == 0.9
    assert result.best.met_target == result.best.best_epoch
    saved = json.loads((tmp_path / "run" / "winner" / "settings.json").read_text())
    assert saved["epoch"] == result.best.best_epoch
