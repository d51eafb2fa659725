"""Files of sequences read and checked: every complaint names the file and the row."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperprune.corpus.sequences import Part, padded
from hyperprune.errors import CorpusError, nearest

SUFFIXES = (".npz", ".safetensors", ".csv")
SPLITS = ("train", "valid", "test")
"""Names of files that are the splits of a folder."""
KEYS = ("x", "y", "lengths", "group")


@dataclass(frozen=True)
class Columns:
    """What columns of a table are called."""

    sequence: str
    time: str
    label: str
    group: str


@dataclass(frozen=True)
class Table:
    """One file: sequences (T_i, F), an answer for each (or for each step), and their groups."""

    path: Path
    x: list[Tensor]
    y: list[Any] | None = None  # of each sequence: a number, a word, or one of these a step
    groups: list[str] | None = None
    cells: list[list[tuple[int, str]]] | None = None  # each step's row and label, not yet read

    @property
    def features(self) -> int:
        """Numbers a step."""
        return self.x[0].shape[1]

    def check_features(self, other: Table) -> None:
        """Raise CorpusError where another file has other features."""
        if other.features != self.features:
            raise CorpusError(
                f"{other.path} has {other.features} features, {self.path} has {self.features}"
            )

    @property
    def a_step(self) -> bool | None:
        """Whether sequences have several answers, as one a step; None where they have none."""
        if self.y is None:
            return None
        return self.y[0].dim() > 0 if isinstance(self.y[0], Tensor) else isinstance(self.y[0], list)

    @property
    def words(self) -> set[str]:
        """Labels that are words."""
        flat = [v for y in self.y or [] for v in (y if isinstance(y, list) else [y])]
        return {value for value in flat if isinstance(value, str)}


def read_table(path: Path, columns: Columns) -> Table:
    """Read one file, labels of a CSV table apart; raises CorpusError naming the row of what is wrong."""
    return _from_csv(path, columns) if path.suffix == ".csv" else table_of(path, _load(path))


def joined(tables: Sequence[Table]) -> Table:
    """Several files as one; raises CorpusError where they do not fit together."""
    first = tables[0]
    for other in tables[1:]:
        first.check_features(other)
        if (other.y is None) != (first.y is None) or (other.groups is None) != (
            first.groups is None
        ):
            raise CorpusError(f"{other.path} and {first.path} differ in having labels or groups")
        if other.a_step != first.a_step:
            raise CorpusError(f"of {first.path} and {other.path} only one has a label a step")
    return Table(
        first.path,
        [row for table in tables for row in table.x],
        None if first.y is None else [y for table in tables for y in table.y or []],
        None if first.groups is None else [g for table in tables for g in table.groups or []],
    )


def part_of(table: Table, labels: Sequence[str]) -> Part:
    """Padded tensors of a file; labels that are words by their place among all of them."""
    x, lengths = padded(table.x)
    if table.y is None:
        return Part(x, lengths)
    number = {word: place for place, word in enumerate(labels)}
    rows = [_numbers(y, number) for y in table.y]
    if rows[0].dim() and any(len(y) != len(own) for y, own in zip(rows, table.x, strict=True)):
        return Part(x, lengths, torch.stack(rows))  # several numbers a sequence
    y = padded(rows)[0] if rows[0].dim() else torch.stack(rows)
    return Part(x, lengths, y)


def _numbers(y: Any, number: Mapping[str, int]) -> Tensor:
    if isinstance(y, Tensor):
        return y
    named = [number.get(v, v) for v in y] if isinstance(y, list) else number.get(y, y)
    found = torch.tensor(named)
    return found.float() if found.is_floating_point() else found.long()


def table_of(path: Path, held: Mapping[str, Any]) -> Table:
    """NumPy arrays by the names that files have; raises CorpusError, by `path` and row."""
    if "x" not in held:
        hint = nearest("x", list(held))
        raise CorpusError(
            f"{path} has no array x{hint}; it has {', '.join(sorted(held)) or 'nothing'}"
        )
    if unknown := sorted(set(held) - set(KEYS)):
        raise CorpusError(f"{path} has {unknown[0]!r}; what is read: {', '.join(KEYS)}")
    x, lengths = held["x"], held.get("lengths")
    if x.dtype.kind not in "fiub":
        raise CorpusError(f"{path}: x is {x.dtype}; expected numbers")
    rows = _rows(path, x.astype(np.float32), lengths)
    padded = x.shape[1] if x.ndim == 3 else None
    answers = None if "y" not in held else _answers(path, held["y"], rows, padded)
    groups = None
    if "group" in held:
        if held["group"].shape != (len(rows),):
            raise CorpusError(
                f"{path}: group is {held['group'].shape}; expected one for each of {len(rows)} sequences"
            )
        groups = [str(value) for value in held["group"].tolist()]
    return Table(path, rows, answers, groups)


def _load(path: Path) -> dict[str, Any]:
    """Arrays by name; nothing is ever unpickled."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        from safetensors.numpy import load_file

        return dict(load_file(path))
    except Exception as error:  # each reader's own errors, and those of what it stands on
        reason = str(error).partition("\n")[0]
        if "allow_pickle" in reason:
            reason = "it holds Python objects, which are not read; save numbers"
        raise CorpusError(f"cannot read {path}: {reason}") from error


def _rows(path: Path, x: Any, lengths: Any) -> list[Tensor]:
    """Sequences of x (N, T, F) or (ΣT, F); raises CorpusError."""
    if lengths is None:
        if x.ndim != 3:
            raise CorpusError(
                f"{path}: x is {x.shape}; expected (N, T, F), or (sum of lengths, F) with lengths"
            )
        lengths = np.full(len(x), x.shape[1])
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise CorpusError(
            f"{path}: lengths are {lengths.dtype} {lengths.shape}; expected integers (N,)"
        )
    if len(lengths) == 0:
        raise CorpusError(f"{path} has no sequence")
    if (lengths < 1).any():
        row = int((lengths < 1).argmax())
        raise CorpusError(
            f"{path}, row {row}: length {int(lengths[row])}; a sequence has a step or more"
        )
    if x.ndim == 2:
        if int(lengths.sum()) != len(x):
            raise CorpusError(
                f"{path}: lengths add up to {int(lengths.sum())}, and x has {len(x)} steps"
            )
        pieces = np.split(x, np.cumsum(lengths)[:-1])
    elif x.ndim == 3 and len(x) == len(lengths):
        if int(lengths.max()) > x.shape[1]:
            row = int(lengths.argmax())
            raise CorpusError(
                f"{path}, row {row}: length {int(lengths[row])}, and x has {x.shape[1]} steps"
            )
        pieces = [row[:size] for row, size in zip(x, lengths, strict=True)]
    else:
        raise CorpusError(
            f"{path}: x is {x.shape} and lengths are {lengths.shape}; they do not fit"
        )
    if x.shape[-1] == 0:
        raise CorpusError(f"{path}: x is {x.shape}; it has no feature")
    for row, piece in enumerate(pieces):
        bad = ~np.isfinite(piece)
        if bad.any():
            step, feature = (int(i) for i in np.argwhere(bad)[0])
            raise CorpusError(
                f"{path}, row {row}: x is {piece[step, feature]} at step {step}, feature {feature}; "
                "fill in or leave out what is missing"
            )
    return [torch.from_numpy(np.ascontiguousarray(piece)) for piece in pieces]


def _answers(path: Path, y: Any, rows: Sequence[Tensor], padded: int | None) -> list[Any]:
    """Answers of each sequence, or of its steps where y is as wide as x is long; raises CorpusError.

    padded: T of x (N, T, F), None where sequences follow one another.
    """
    lengths = [len(row) for row in rows]
    if y.dtype.kind == "U":
        if y.shape != (len(rows),):
            raise CorpusError(f"{path}: y is {y.shape}; words label sequences, ({len(rows)},)")
        return [str(value) for value in y.tolist()]
    if y.dtype.kind not in "fiub":
        raise CorpusError(f"{path}: y is {y.dtype}; expected integers, numbers or words")
    y = y.astype(np.float32 if y.dtype.kind == "f" else np.int64)
    if padded is None and len(y) == sum(lengths) and len(y) != len(rows):
        found = np.split(y, np.cumsum(lengths)[:-1])
    elif len(y) != len(rows):
        raise CorpusError(f"{path}: y has {len(y)} rows, and x has {len(rows)} sequences")
    elif y.ndim > 1 and padded is not None and y.shape[1] in (padded, max(lengths)):
        found = [row[:size] for row, size in zip(y, lengths, strict=True)]
    else:
        found = list(y)
    for row, value in enumerate(found):
        if not np.isfinite(value).all():
            raise CorpusError(
                f"{path}, row {row}: y is {value[~np.isfinite(value)][0] if value.ndim else value}"
            )
    return [torch.from_numpy(np.array(value)) for value in found]


def _from_csv(path: Path, columns: Columns) -> Table:
    """Rows of a table as sequences, each in the order of its times."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            head = next(reader, [])
            _check_head(path, head, columns)
            lines = [(reader.line_num, line) for line in reader if line]
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"cannot read {path} as a CSV table in UTF-8: {error}") from error
    place = {name: number for number, name in enumerate(head)}
    special = (columns.sequence, columns.time, columns.label, columns.group)
    features = [name for name in head if name not in special]
    if not lines or not features:
        raise CorpusError(f"{path} has no {'row' if not lines else 'column of features'}")
    steps: dict[str, list[tuple[float, int, list[float]]]] = {}
    answers: dict[str, list[tuple[float, int, str]]] = {}
    groups: dict[str, str] = {}
    for number, line in lines:
        if len(line) != len(head):
            raise CorpusError(f"{path}, row {number}: {len(line)} cells; the head has {len(head)}")
        name = line[place[columns.sequence]]
        when = _number(path, number, columns.time, line[place[columns.time]])
        values = [_number(path, number, name, line[place[name]]) for name in features]
        steps.setdefault(name, []).append((when, number, values))
        if columns.label in place:
            said = line[place[columns.label]]
            if not said.strip():
                raise CorpusError(f"{path}, row {number}: {columns.label} is empty")
            answers.setdefault(name, []).append((when, number, said))
        if columns.group in place:
            own = line[place[columns.group]]
            if groups.setdefault(name, own) != own:
                raise CorpusError(
                    f"{path}, row {number}: sequence {name!r} is in group {own!r} and in {groups[name]!r}"
                )
    for name, rows in steps.items():
        rows.sort(key=lambda item: item[0])
        for before, after in itertools.pairwise(rows):
            if before[0] == after[0]:
                raise CorpusError(
                    f"{path}, row {after[1]}: sequence {name!r} has time {after[0]:g} twice"
                )
    x = [torch.tensor([values for _, _, values in own]) for own in steps.values()]
    cells = [[(number, said) for _, number, said in sorted(own)] for own in answers.values()]
    return Table(path, x, None, list(groups.values()) or None, cells or None)


def _check_head(path: Path, head: Sequence[str], columns: Columns) -> None:
    for key, name in (("sequence", columns.sequence), ("time", columns.time)):
        if name not in head:
            raise CorpusError(
                f"{path} has no column {name!r}{nearest(name, list(head))}; data.{key} names it"
            )
    if len(set(head)) < len(head):
        raise CorpusError(f"{path} names a column twice: {', '.join(head)}")


def _number(path: Path, row: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise CorpusError(f"{path}, row {row}: {column} is {cell!r}, not a number") from None
    if not math.isfinite(value):
        raise CorpusError(
            f"{path}, row {row}: {column} is {cell}; fill in or leave out what is missing"
        )
    return value
