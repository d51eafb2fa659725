"""A user's own sequences: read, split, scaled, and what is wrong told with its file and row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hyperprune.builtin.corpora.arrays import arrays
from hyperprune.builtin.corpora.digits import digits
from hyperprune.corpus import Part, Sequences, cut_in_time, dealt, padded, scaled
from hyperprune.corpus.array_files import part_of, table_of
from hyperprune.errors import CorpusError

#  Six sequences of 1 to 6 steps, two features; the label is the length's parity.
LENGTHS = np.arange(1, 7)
FLAT = np.arange(42, dtype=np.float32).reshape(21, 2)
Y = LENGTHS % 2


def whole(found):
    parts = (found.train, found.valid, found.test)
    return {
        int(n): (x[: int(n)], int(y))
        for part in parts
        for x, n, y in zip(part.x, part.lengths, part.y, strict=True)
    }


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_ragged_arrays_are_read_as_they_were_written(tmp_path, suffix):
    path = tmp_path / f"six{suffix}"
    held = {"x": FLAT, "lengths": LENGTHS, "y": Y}
    np.savez(path, **held) if suffix == ".npz" else save_file(held, path)
    found = arrays(path, scale=False)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [4, 1, 1]
    rows, start = whole(found), 0
    for length in LENGTHS.tolist():
        x, y = rows[length]
        assert x.tolist() == FLAT[start : start + length].tolist()
        assert y == length % 2
        start += length
    assert arrays(path, scale=False).sha256 == found.sha256
    assert arrays(path, scale=False, split_seed=1).sha256 != found.sha256


@pytest.mark.parametrize(
    ("steps", "numbers", "each"),
    [(3, 5, False), (1, 2, False), (5, 3, False), (4, 4, True)],
)
def test_numbers_are_of_steps_only_where_there_are_as_many(steps, numbers, each):
    """y (N, K) beside x (N, T, F): K numbers a sequence, or one a step where K = T; none is cut off."""
    y = np.arange(2.0 * numbers, dtype=np.float32).reshape(2, numbers)
    table = table_of(Path("a.npz"), {"x": np.ones((2, steps, 1)), "y": y})
    part = part_of(table, [])
    assert part.y.tolist() == y.tolist()
    assert all(len(own) == (steps if each else numbers) for own in table.y)
    # padded to five steps, of which four are in use: y may be as wide as either
    for width in (4, 5):
        y = np.arange(2.0 * width, dtype=np.float32).reshape(2, width)
        held = {"x": np.ones((2, 5, 1)), "lengths": np.array([4, 2]), "y": y}
        assert [len(own) for own in table_of(Path("a.npz"), held).y] == [4, 2]


def test_a_table_is_sequences_in_the_order_of_their_times(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "time,who,a,b,label\n"
        "2,x,3,4,up\n1,x,1,2,up\n1,y,5,6,down\n1,z,7,8,up\n3,z,9,10,up\n1,v,0,0,down\n"
    )
    found = arrays(path, sequence="who", scale=False)
    assert found.labels == ("down", "up")
    parts = (found.train, found.valid, found.test)
    rows = [
        (x[:n].tolist(), int(y)) for p in parts for x, n, y in zip(p.x, p.lengths, p.y, strict=True)
    ]
    assert ([[1, 2], [3, 4]], 1) in rows
    assert ([[7, 8], [9, 10]], 1) in rows
    assert ([[5, 6]], 0) in rows


def test_a_folder_of_named_splits_is_split_already(tmp_path):
    for number, name in enumerate(("train", "valid", "test"), start=2):
        np.savez(tmp_path / f"{name}.npz", x=np.ones((number, 3, 1)), y=np.arange(number) % 2)
    found = arrays(tmp_path)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [2, 3, 4]
    (tmp_path / "test.npz").unlink()
    with pytest.raises(CorpusError, match="holds train, valid and lacks test"):
        arrays(tmp_path)


def test_groups_stay_together(tmp_path):
    group = np.arange(20) // 2
    np.savez(tmp_path / "g.npz", x=np.arange(20.0).reshape(20, 1, 1), y=group, group=group)
    found = arrays(tmp_path / "g.npz", split="group", scale=False)
    held = [
        set((part.x.flatten() // 2).tolist()) for part in (found.train, found.valid, found.test)
    ]
    assert not held[0] & held[1]
    assert not held[0] & held[2]
    assert [len(groups) for groups in held] == [6, 2, 2]


def test_time_is_cut_within_each_sequence():
    x, lengths = padded([torch.arange(10.0).unsqueeze(1), torch.arange(20.0).unsqueeze(1)])
    train, valid, test = cut_in_time("two", Part(x, lengths), valid=0.2, test=0.2)
    assert [part.lengths.tolist() for part in (train, valid, test)] == [[6, 12], [2, 4], [2, 4]]
    assert valid.x[0, :2, 0].tolist() == [6, 7]
    assert test.x[1, :4, 0].tolist() == [16, 17, 18, 19]
    with pytest.raises(CorpusError, match="sequence 1 has 10 steps, too few"):
        cut_in_time("two", Part(x, lengths), valid=0.05, test=0.2)


def test_scaling_is_of_the_training_split_and_leaves_padding_at_zero():
    x, lengths = padded([torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]])])
    part = Part(x, lengths)
    other = Part(x[:1] + 1, lengths[:1])
    found = scaled(Sequences("s", part, other, part))
    assert found.mean.tolist() == [3.0]
    assert found.scale.tolist() == pytest.approx([(8 / 3) ** 0.5])
    assert found.train.x[1, 1].tolist() == [0.0]
    assert found.valid.x[0, 0].item() == pytest.approx((2 - 3) / (8 / 3) ** 0.5)


def test_what_does_not_suffice_to_deal_out_is_said():
    part = Part(torch.zeros(2, 1, 1), torch.ones(2, dtype=torch.int64))
    with pytest.raises(CorpusError, match="2 sequences or groups"):
        dealt("two", part, [0, 1], valid=0.3, test=0.3, seed=0)


BAD = {
    "nan": ({"x": np.array([[[0.0], [np.nan]]])}, r"b\.npz, row 0: x is nan at step 1, feature 0"),
    "length 0": (
        {"x": np.ones((2, 3, 1)), "lengths": np.array([3, 0])},
        r"b\.npz, row 1: length 0",
    ),
    "too long": (
        {"x": np.ones((2, 3, 1)), "lengths": np.array([3, 4])},
        r"row 1: length 4, and x has 3",
    ),
    "sum": (
        {"x": np.ones((5, 1)), "lengths": np.array([3, 4])},
        "lengths add up to 7, and x has 5",
    ),
    "two dimensions": ({"x": np.ones((5, 1))}, r"x is \(5, 1\); expected \(N, T, F\)"),
    "rows of y": ({"x": np.ones((2, 3, 1)), "y": np.ones(3)}, "y has 3 rows, and x has 2"),
    "nan in y": ({"x": np.ones((2, 3, 1)), "y": np.array([1.0, np.inf])}, r"row 1: y is inf"),
    "no x": ({"z": np.ones(3)}, "has no array x"),
    "words": ({"x": np.array([["a"]])}, "x is <U1; expected numbers"),
    "other": ({"x": np.ones((2, 3, 1)), "weights": np.ones(2)}, "has 'weights'; what is read"),
    "objects": ({"x": np.array([{}], dtype=object)}, "Python objects, which are not read"),
    "group": ({"x": np.ones((2, 3, 1)), "group": np.ones(3)}, r"group is \(3,\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays_are_told_with_file_and_row(tmp_path, name):
    held, said = BAD[name]
    np.savez(tmp_path / "b.npz", **held)
    with pytest.raises(CorpusError, match=said) as caught:
        arrays(tmp_path / "b.npz")
    assert "\n" not in str(caught.value)


TABLES = {
    "sequence,time,a\n1,1,x\n": r"t\.csv, row 2: a is 'x', not a number",
    "sequence,time,a\n1,1,\n": r"row 2: a is '', not a number",
    "sequence,time,a\n1,1,nan\n": r"row 2: a is nan; fill in",
    "sequence,time,a\n1,1,2\n1,1,3\n": r"row 3: sequence '1' has time 1 twice",
    "sequence,time,a\n1,1\n": r"row 2: 2 cells; the head has 3",
    "sequences,time,a\n1,1,2\n": r"no column 'sequence' \(did you mean 'sequences'\?\)",
    "sequence,time\n1,1\n": "no column of features",
    "sequence,time,a\n": "has no row",
    "sequence,time,a,label\n1,1,2,\n": r"t\.csv, row 2: label is empty",
    "sequence,time,a,group\n1,1,2,p\n1,2,2,q\n": r"row 3: sequence '1' is in group 'q'",
    "": "no column 'sequence'",
}


@pytest.mark.parametrize("text", TABLES)
def test_bad_tables_are_told_with_file_and_row(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(CorpusError, match=TABLES[text]):
        arrays(tmp_path / "t.csv")


def test_unreadable_files_and_folders(tmp_path):
    with pytest.raises(CorpusError, match=r"needs data\.root"):
        arrays(None)
    with pytest.raises(CorpusError, match="there is no"):
        arrays(tmp_path / "nothing.npz")
    with pytest.raises(CorpusError, match="holds no file of"):
        arrays(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(CorpusError, match=r"cannot read .*a\.npz"):
        arrays(tmp_path / "a.npz")
    (tmp_path / "a.npz").unlink()
    (tmp_path / "b.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(CorpusError, match=r"cannot read .*b\.safetensors"):
        arrays(tmp_path)
    (tmp_path / "c.csv").write_bytes(b"sequence,time,a\n1,1,\xff\n")
    with pytest.raises(CorpusError, match=r"cannot read .*c\.csv as a CSV table in UTF-8"):
        arrays(tmp_path / "c.csv")


def test_digits_are_eight_rows_of_eight_pixels():
    found = digits(None)
    assert found.features == 8
    assert [len(part) for part in (found.train, found.valid, found.test)] == [1079, 359, 359]
    assert found.train.x.shape == (1079, 8, 8)
    assert float(found.train.x.max()) == 1
    assert set(found.train.y.tolist()) == set(range(10))
