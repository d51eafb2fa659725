"""Numbers to be answered: targets that the data have, or the series itself some steps ahead."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from hyperprune.corpus import Part, Sequences
from hyperprune.errors import CorpusError
from hyperprune.task.contract import Batches, Cut, Split, Task
from hyperprune.task.sequences import SequenceTask
from hyperprune.task.whole import WORDS, first_long, need_sequences, pieces_of, whole_batches
from hyperprune.terms.metric import Metric

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
METRICS = {
    "squared": Metric("mse", "mses", form=".4g"),
    "absolute": Metric("mae", "maes", form=".4g"),
}
"""Mean squared and mean absolute error, by what is lost."""


class Regression(SequenceTask):
    """Answer with the targets of a sequence after its last step, or with those of every step."""

    def __init__(self, data: object, loss: str, name: str) -> None:
        super().__init__(_numbers(need_sequences(data, name)))
        self.loss, self.metric = loss, METRICS[loss]
        self.unit = f"mean {loss} error"
        for split in SPLITS:
            _check_targets(self.data, split)
        self.bound = Task.bound * max(1.0, *(self._error_of_zeros(split) for split in SPLITS))

    def _error_of_zeros(self, split: Split) -> float:
        """The error of who always answers 0; raises CorpusError where float32 cannot hold it."""
        targets = _flat(getattr(self.data, split))
        errors = self.losses(torch.zeros_like(targets), targets)[0]
        if not torch.isfinite(errors.sum()):
            raise CorpusError(
                f"{self.data.name}: y of the {WORDS[split]} split goes to {targets.abs().max():.3g}, "
                f"and float32 cannot hold its {self.unit}; divide y by a constant"
            )
        return float(errors.mean()) if len(errors) else 0.0

    @property
    def outputs(self) -> int:
        """Numbers of a target."""
        y = self.data.train.y
        assert y is not None
        return _width(self.data.train, y)

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, None]:
        """Error of each answer, the mean over its numbers; it is its own cost."""
        measure = functional.mse_loss if self.loss == "squared" else functional.l1_loss
        error = measure(outputs, targets.reshape(outputs.shape), reduction="none")
        return error.mean(-1), None

    def unigram(self) -> float:
        """The error of who always answers with the training targets' mean, or their median."""
        known, asked = (_flat(getattr(self.data, split)) for split in ("train", "valid"))
        always = known.mean(0) if self.loss == "squared" else known.median(0).values
        return float(self.losses(always.expand_as(asked), asked)[0].mean())


class Forecasting(Regression):
    """Foretell a series some steps ahead, at every step, with the state carried over segments."""

    carried = True

    def __init__(self, data: object, loss: str, horizon: int, name: str) -> None:
        own = need_sequences(data, name)
        self.horizon = horizon
        train, valid, test = (_ahead(own, split, horizon) for split in SPLITS)
        super().__init__(replace(own, train=train, valid=valid, test=test), loss, name)

    def epoch(self, cut: Cut, seed: int) -> Batches:
        """The training series; where they are fewer than a batch, each is cut into pieces."""
        part = pieces_of(self.data.train, cut.batch)
        return whole_batches(part, cut, seed, steps=cut.bptt)

    def driving(self, sequences: int, steps: int) -> Tensor:
        """The first validation series, or their pieces where they are too few: (T, B, F)."""
        part = pieces_of(self.data.valid, sequences)
        return first_long(part, self.data.name, sequences, steps)

    def unigram(self) -> float:
        """The error of the naive forecast, which expects what is."""
        part = self.data.valid
        inside = torch.arange(part.x.shape[1]) < part.lengths[:, None]
        assert part.y is not None
        return float(self.losses(part.x[inside], part.y[inside])[0].mean())


def _ahead(data: Sequences, split: Split, horizon: int) -> Part:
    """A split whose targets are its own values some steps later; raises CorpusError."""
    part: Part = getattr(data, split)
    short = part.lengths <= horizon
    if bool(short.any()):
        row = int(short.nonzero()[0])
        raise CorpusError(
            f"{data.name}: the {WORDS[split]} split, row {row}: {int(part.lengths[row])} steps; a "
            f"forecast {horizon} steps ahead (task.horizon) needs more"
        )
    lengths = part.lengths - horizon
    inside = (torch.arange(part.x.shape[1] - horizon) < lengths[:, None]).unsqueeze(-1)
    return Part(part.x[:, :-horizon] * inside, lengths, part.x[:, horizon:] * inside)


def _width(part: Part, y: Tensor) -> int:
    own = y.shape[2:] if part.a_step else y.shape[1:]
    return int(torch.Size(own).numel())


def _flat(part: Part) -> Tensor:
    """Every target, (n, K)."""
    assert part.y is not None
    width = _width(part, part.y)
    if not part.a_step:
        return part.y.reshape(-1, width)
    inside = torch.arange(part.x.shape[1]) < part.lengths[:, None]
    return part.y[inside].reshape(-1, width)


def _numbers(data: Sequences) -> Sequences:
    """Data with whole targets as numbers, where they are only to be scored: others have a point."""
    if data.outputs is None:
        return data
    parts: list[Part] = [getattr(data, split) for split in SPLITS]
    train, valid, test = (
        part if part.y is None else replace(part, y=part.y.float()) for part in parts
    )
    return replace(data, train=train, valid=valid, test=test)


def _check_targets(data: Sequences, split: Split) -> None:
    part: Part = getattr(data, split)
    if part.y is None:
        raise CorpusError(
            f"{data.name} has no targets y; task 'regression' needs numbers to answer"
        )
    if not part.y.is_floating_point():
        raise CorpusError(
            f"{data.name}: y of the {WORDS[split]} split is {part.y.dtype}; task 'regression' needs "
            "numbers with a point. Classes are named by task 'classification'"
        )
    assert data.train.y is not None
    if _width(part, part.y) != _width(data.train, data.train.y) or part.a_step != data.train.a_step:
        raise CorpusError(
            f"{data.name}: y is {tuple(part.y.shape)} in the {WORDS[split]} split and "
            f"{tuple(data.train.y.shape)} in the training split"
        )
