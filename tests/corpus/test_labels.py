"""Labels of CSV tables are read alike in all files that belong together, and in what is scored later."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hyperprune.builtin.corpora.arrays import arrays
from hyperprune.builtin.tasks.classification import Classification
from hyperprune.builtin.tasks.regression import Regression
from hyperprune.corpus import Part, Sequences
from hyperprune.errors import CorpusError
from hyperprune.export.sequences import _part, _task, score_sequences
from hyperprune.store.reads import Reads


def write(path: Path, *sequences: str) -> Path:
    """A table of sequences, each of them its labels with blanks between."""
    rows = [
        f"{number},{step},{step}.5,{label}\n"
        for number, labels in enumerate(sequences)
        for step, label in enumerate(labels.split(" "))
    ]
    path.write_text("sequence,time,a,label\n" + "".join(rows))
    return path


def three(folder: Path, train: list[str], valid: list[str], test: list[str]) -> Sequences:
    for name, own in (("train", train), ("valid", valid), ("test", test)):
        write(folder / f"{name}.csv", *own)
    return arrays(folder)


def answers(data: Sequences) -> list[Any]:
    parts = (data.train, data.valid, data.test)
    return [None if part.y is None else part.y.tolist() for part in parts]


def test_splits_name_the_same_class_by_the_same_number(tmp_path: Path) -> None:
    found = three(tmp_path, ["1", "2", "3", "none"], ["1", "2", "3"], ["3 3"])
    assert found.labels == ("1", "2", "3", "none")
    assert answers(found) == [[0, 1, 2, 3], [0, 1, 2], [2]]
    assert Classification(found).classes == 4


def test_a_file_a_class_is_as_many_classes(tmp_path: Path) -> None:
    for name in ("0", "1", "a", "b"):
        write(tmp_path / f"of_{name}.csv", *[name] * 4)
    found = arrays(tmp_path)
    assert found.labels == ("0", "1", "a", "b")
    assert sorted(y for own in answers(found) for y in own) == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_labels_are_one_a_step_in_every_split_where_they_are_in_one(tmp_path: Path) -> None:
    found = three(tmp_path, ["0 1 0", "1 1 0"], ["0 0 0", "1 1 1"], ["0 1 1"])
    assert answers(found) == [[[0, 1, 0], [1, 1, 0]], [[0] * 3, [1] * 3], [[0, 1, 1]]]
    mixed = Sequences(
        "mixed",
        found.train,
        Part(found.valid.x, found.valid.lengths, torch.tensor([0, 1])),
        found.test,
    )
    with pytest.raises(
        CorpusError, match="one a step in the training split, and one a sequence in the val"
    ):
        Classification(mixed)


def test_one_recording_of_many_is_constant(tmp_path: Path) -> None:
    for number, labels in enumerate(("0 1 0", "0 0 0", "1 1 0", "1 1 1")):
        write(tmp_path / f"r{number}.csv", labels)
    parts = [y for own in answers(arrays(tmp_path)) for y in own]
    assert sorted(parts) == [[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 1]]


def test_targets_that_happen_to_be_whole_are_numbers(tmp_path: Path) -> None:
    found = three(tmp_path, ["1.5", "2"], ["7"], ["1.5"])
    assert Regression(found, "squared", "regression").outputs == 1
    assert found.valid.y is not None
    assert found.valid.y.tolist() == [7.0]


def test_numbers_that_no_integer_holds_are_names(tmp_path: Path) -> None:
    found = three(tmp_path, ["99999999999999999999", "1"], ["1"], ["1"])
    assert found.labels == ("1", "99999999999999999999")
    assert answers(found) == [[1, 0], [0], [0]]


@pytest.mark.parametrize("label", ["nan", "inf", ""])
def test_a_label_that_is_missing_is_told_with_its_row(tmp_path: Path, label: str) -> None:
    with pytest.raises(
        CorpusError, match=rf"valid\.csv, row 3: (the )?label is {label or 'empty'}"
    ):
        three(tmp_path, ["0", "1"], ["0", label], ["1"])


def about(task: str, reads: Reads) -> Any:
    """What is known of a winner that was trained on tables."""
    recipe = SimpleNamespace(
        data=SimpleNamespace(options={}),
        task=SimpleNamespace(name=task, options={}),
        train=SimpleNamespace(eval_batch=2, bptt=5),
    )
    return SimpleNamespace(recipe=recipe, sequences=lambda: reads, check_plugins=lambda kinds: None)


def test_a_table_is_scored_as_the_network_learnt_to_read(tmp_path: Path) -> None:
    words = Reads(inputs=1, outputs=4, a_step=False, labels=("1", "2", "3", "none"))
    path = write(tmp_path / "new.csv", "1", "2", "3")
    _, part = _part(about("classification", words), path)
    assert part.y is not None
    assert part.y.tolist() == [0, 1, 2]
    steps = Reads(inputs=1, outputs=2, a_step=True)
    _, part = _part(about("classification", steps), write(path, "0 0", "1 1"))
    assert part.y is not None
    assert part.y.tolist() == [[0, 0], [1, 1]]
    number = about("regression", Reads(inputs=1, outputs=1, a_step=False))
    task = _task(number, *_part(number, write(path, "7", "-3")))
    assert [batch.targets.tolist() for batch in task.heldout(SimpleNamespace(batch=2), "test")] == [
        [7.0, -3.0]
    ]  # type: ignore[arg-type]
    once = about("classification", Reads(inputs=1, outputs=2, a_step=False))
    with pytest.raises(
        CorpusError, match="has an answer a step; the network learnt one a sequence"
    ):
        score_sequences(once, lambda x, state: (x, state), lambda width: (), write(path, "0 1"))
