"""Sequences of numbers ready for training: three splits, with labels, targets or neither."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from hyperprune.errors import CorpusError

UNSCORED = -1
"""A label that is none: the step is not scored."""


@dataclass(frozen=True, eq=False)
class Part:
    """One split: padded sequences, how long each is, and what is to be answered.

    x: (N, T, F) float32, zero beyond a sequence's end; lengths: (N,) int64. y: labels (int64) or
    targets (float32), one a sequence, (N,) or (N, K), or one a step, (N, T) or (N, T, K); None where
    the series itself is what is to be foretold. Labels of steps may be UNSCORED.
    """

    x: Tensor
    lengths: Tensor
    y: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: slice | Tensor) -> Part:
        y = None if self.y is None else self.y[index]
        return Part(self.x[index], self.lengths[index], y)

    @property
    def a_step(self) -> bool:
        """Whether there is an answer for every step rather than for every sequence."""
        y = self.y
        return y is not None and y.dim() > 1 and y.shape[1] == self.x.shape[1]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Splits of sequences; `labels` names the classes of integer answers.

    mean, scale: (F,) what was taken off every feature, and what it was then divided by, where the
    data were scaled; another sequence must be, too. outputs: numbers of an answer where they are known
    beforehand, since the sequences are only to be scored by a network that was trained on others.
    """

    name: str
    train: Part
    valid: Part
    test: Part
    labels: tuple[str, ...] = ()
    mean: Tensor | None = None
    scale: Tensor | None = None
    outputs: int | None = None

    @property
    def features(self) -> int:
        """Numbers a step."""
        return self.train.x.shape[2]

    @cached_property
    def sha256(self) -> str:
        """Hash of names and splits: equal hashes mean equal input to every network."""
        digest = hashlib.sha256("\n".join(self.labels).encode())
        for part in (self.train, self.valid, self.test):
            for tensor in (part.x, part.lengths, part.y):
                if tensor is not None:
                    digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                    digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sequences (T_i, …) of different lengths as (N, T, …), zero beyond their ends, and the lengths."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    whole = rows[0].new_zeros(len(rows), max(map(len, rows)), *rows[0].shape[1:])
    for number, row in enumerate(rows):
        whole[number, : len(row)] = row
    return whole, lengths


def scaled(data: Sequences) -> Sequences:
    """The same data, each feature with mean 0 and variance 1 over the training split's steps."""
    real = _real(data.train)  # (steps, F)
    mean = real.double().mean(0).float()
    spread = real.double().std(0, correction=0).float()
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))
    splits = (data.train, data.valid, data.test)
    train, valid, test = (scaled_by(part, mean, scale) for part in splits)
    return Sequences(data.name, train, valid, test, data.labels, mean, scale)


def scaled_by(part: Part, mean: Tensor, scale: Tensor) -> Part:
    """A split less the mean (F,) of every feature, divided by its scale (F,); zero beyond ends."""
    steps = torch.arange(part.x.shape[1])
    inside = (steps < part.lengths[:, None]).unsqueeze(-1)  # (N, T, 1)
    return Part(((part.x - mean) / scale) * inside, part.lengths, part.y)


def _real(part: Part) -> Tensor:
    steps = torch.arange(part.x.shape[1])
    return part.x[steps < part.lengths[:, None]]


def dealt(
    name: str, whole: Part, by: Sequence[Any], *, valid: float, test: float, seed: int
) -> tuple[Part, Part, Part]:
    """Deal sequences out to train, valid and test by the seed, whole groups of `by` together.

    Raises CorpusError where a split would stay empty.
    """
    groups = sorted(set(by))
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed)).tolist()
    held = [max(1, round(share * len(groups))) for share in (valid, test)]
    if sum(held) >= len(groups):
        raise CorpusError(
            f"{name} has {len(groups)} sequences or groups to deal out; with valid = {valid} and "
            f"test = {test} none is left to train on"
        )
    owner = {}
    for place, number in enumerate(order):
        owner[groups[number]] = 1 if place < held[0] else 2 if place < sum(held) else 0
    split = torch.tensor([owner[group] for group in by])
    return tuple(whole[(split == which).nonzero().flatten()] for which in range(3))  # type: ignore[return-value]


def cut_in_time(name: str, whole: Part, *, valid: float, test: float) -> tuple[Part, Part, Part]:
    """Cut every sequence in time: its beginning trains, its end tests; raises CorpusError."""
    if whole.y is not None and not whole.a_step:
        raise CorpusError(
            f"{name}: split = 'time' cuts sequences, and an answer for a whole one does not belong to "
            "a part of it; use split = 'random' or 'group'"
        )
    parts: list[list[tuple[Tensor, Tensor | None]]] = [[], [], []]
    for row, length in enumerate(whole.lengths.tolist()):
        first = length - round(valid * length) - round(test * length)
        ends = [0, first, length - round(test * length), length]
        for which in range(3):
            start, stop = ends[which], ends[which + 1]
            if stop - start < 2:
                raise CorpusError(
                    f"{name}: sequence {row + 1} has {length} steps, too few to be cut in time with "
                    f"valid = {valid} and test = {test}"
                )
            y = None if whole.y is None else whole.y[row, start:stop]
            parts[which].append((whole.x[row, start:stop], y))
    found = []
    for rows in parts:
        x, lengths = padded([x for x, _ in rows])
        answers = [y for _, y in rows if y is not None]
        found.append(Part(x, lengths, padded(answers)[0] if answers else None))
    return found[0], found[1], found[2]
