"""What a first recipe makes of a person's sequences, and that such a recipe can begin."""

import numpy as np
import pytest
import torch

from hyperprune.corpus import Part, Sequences, padded
from hyperprune.errors import CorpusError
from hyperprune.plan import own_data
from hyperprune.plan.first_recipe import Size, Wish, first_recipe
from hyperprune.plan.own_data import Driving, find, wrong_data
from hyperprune.plan.settle import settle
from hyperprune.recipe import loads

LABELS = [0, 1] * 10


def written(path, **arrays):
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)
    return path


def steps(count, length, features=2):
    return np.random.default_rng(0).normal(size=(count, length, features)).astype("f")


def found_and_settled(path, task=None):
    """The recipe that is written for a file must be one that a run could begin with."""
    found = find(str(path), task)
    text = first_recipe(Wish(str(path), "gru", 0.8, 60, task), found, Size(40, 1.0, 4, 6))
    return found, settle(loads(text)).recipe


@pytest.mark.parametrize(
    ("arrays", "task"),
    [
        ({"x": steps(20, 6), "y": np.array(LABELS)}, "classification"),
        ({"x": steps(20, 6), "y": steps(20, 6)[:, 0, 0]}, "regression"),
        ({"x": steps(20, 60)}, "forecasting"),
    ],
)
def test_the_task_follows_from_the_answers(tmp_path, arrays, task):
    found, recipe = found_and_settled(written(tmp_path / "mine.npz", **arrays))
    assert (found.corpus, found.task, recipe.task.name) == ("arrays", task, task)
    assert recipe.data.options == ({"split": "time"} if task == "forecasting" else {})
    assert recipe.model.options == {
        "embedding": 40,
        "hidden": 40,
        "layers": 1,
        "dropout": 0.1,
        "tied": False,
    }
    assert recipe.prune.init.name == "er"
    assert "init" not in recipe.space


def test_one_series_is_cut_in_time_and_three_files_are_split_already(tmp_path):
    one, _ = found_and_settled(written(tmp_path / "one.npz", x=steps(1, 400)))
    assert dict(one.options) == {"split": "time"}
    for part in ("train", "valid", "test"):
        path = written(tmp_path / "parts" / f"{part}.npz", x=steps(2, 80))
    parts, _ = found_and_settled(path.parent)
    assert dict(parts.options) == {}


def test_a_task_that_is_said_is_taken_and_has_to_suit(tmp_path):
    path = written(tmp_path / "mine.npz", x=steps(20, 60), y=np.array(LABELS))
    assert find(str(path), "forecasting").task == "forecasting"
    with pytest.raises(CorpusError, match="needs numbers with a point"):
        found_and_settled(path, "regression")


def test_a_table_of_words_and_a_corpus_by_name(tmp_path):
    rows = [f"{i},{t},{i * t},{'up' if i % 2 else 'down'}" for i in range(20) for t in range(4)]
    (tmp_path / "mine.csv").write_text("\n".join(["sequence,time,a,label", *rows]))
    assert found_and_settled(tmp_path / "mine.csv")[0].task == "classification"
    assert find("adding", None).task == "regression"
    assert find("pydoc", None) == own_data.Found("pydoc")


@pytest.mark.parametrize(
    ("lengths", "answered", "driving"),
    [
        ([100] * 20, True, (8, 10, 35)),
        ([30] * 20, True, (12, 6, 24)),  # 360 steps in all
        ([8] * 20, True, (20, 0, 8)),
        ([50, 9, 40], True, (3, 0, 9)),  # all three, to the end of the shortest
        ([81], False, (8, 0, 10)),  # eight pieces of the 80 steps that have one after them
        ([1000], False, (8, 10, 35)),
    ],
)
def test_spectra_are_driven_by_what_the_validation_split_has(lengths, answered, driving):
    x, ends = padded([torch.zeros(length, 1) for length in lengths])
    part = Part(x, ends, torch.zeros(len(lengths), dtype=torch.int64) if answered else None)
    assert own_data.driving_of(Sequences("mine", part, part, part)) == Driving(*driving)


def test_what_is_no_data_is_told_with_what_would_be(tmp_path):
    (tmp_path / "book.txt").write_text("a b c")
    for said in (tmp_path / "book.txt", tmp_path / "absent.npz"):
        assert "a file or folder of sequences (.npz, .safetensors, .csv)" in wrong_data(str(said))
    assert "did you mean 'digits'" in wrong_data("digit")
    assert wrong_data(str(tmp_path)) is None
    with pytest.raises(CorpusError, match="has no array x"):
        find(str(written(tmp_path / "mine.npz", xs=steps(2, 3))), None)
