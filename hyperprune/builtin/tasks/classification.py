"""Classification: a class for every sequence, or for every step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hyperprune.corpus import UNSCORED, Part, Sequences
from hyperprune.errors import CorpusError
from hyperprune.task.contract import Split
from hyperprune.task.sequences import SequenceTask
from hyperprune.task.whole import WORDS, need_sequences
from hyperprune.terms.metric import Metric

ACCURACY = Metric("accuracy", "accuracies", of="complement", form=".2%")
"""Share of answers whose most likely class is the right one; the cost is the error rate."""
ERROR_RATE = Metric("error_rate", "error_rates", form=".2%")
METRICS = {metric.name: metric for metric in (ACCURACY, ERROR_RATE)}


class Classification(SequenceTask):
    """Name the class of a sequence after its last step, or of every step; cross entropy."""

    unit = "nats per label"

    def __init__(self, data: object, metric: str = ACCURACY.name) -> None:
        own = need_sequences(data, "classification")
        super().__init__(own)
        self.metric = METRICS[metric]
        self.classes = _classes(own)

    @property
    def outputs(self) -> int:
        """Classes."""
        return self.classes

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy of each answer (nats), and 1 where the most likely class is wrong."""
        wrong = outputs.argmax(-1) != targets
        return functional.cross_entropy(outputs, targets, reduction="none"), wrong.float()

    def unigram(self) -> float:
        """The metric of who always names the class that training has most."""
        counts = torch.bincount(_labels(self.data.train), minlength=self.classes)
        right = float((_labels(self.data.valid) == counts.argmax()).float().mean())
        return self.metric.value(1.0 - right)


def _labels(part: Part) -> Tensor:
    """Every label that is scored, (n,)."""
    assert part.y is not None
    if not part.a_step:
        return part.y
    steps = torch.arange(part.x.shape[1]) < part.lengths[:, None]
    return part.y[steps & (part.y != UNSCORED)]


def _classes(data: Sequences) -> int:
    """How many classes there are; raises CorpusError for labels that are none, or of no sequence.

    Data that are only to be scored need not have every class.
    """
    splits: tuple[Split, ...] = ("train", "valid", "test")
    names = len(data.labels)
    for split in splits:
        part: Part = getattr(data, split)
        if part.y is None:
            raise CorpusError(
                f"{data.name} has no labels y; task 'classification' needs an integer for every "
                "sequence or step"
            )
        if (
            part.y.is_floating_point()
            or part.y.dim() > 2
            or (part.y.dim() == 2 and not part.a_step)
        ):
            raise CorpusError(
                f"{data.name}: y of the {WORDS[split]} split is {part.y.dtype} "
                f"{tuple(part.y.shape)}; task 'classification' needs integers (N,) or (N, T). "
                "Numbers are answered by task 'regression'"
            )
        if part.a_step != data.train.a_step:
            several, one = ("train", split) if data.train.a_step else (split, "train")
            raise CorpusError(
                f"{data.name}: labels are one a step in the {WORDS[several]} split, and one a sequence in "
                f"the {WORDS[one]} split"
            )
        low = part.y < (UNSCORED if part.a_step else 0)
        if bool(low.any()):
            row = int(low.nonzero()[0, 0])
            raise CorpusError(
                f"{_place(data, split, row)}: label {int(part.y[low][0])} is "
                "below 0; labels are 0, 1, …"
            )
    counts = torch.bincount(_labels(data.train))
    classes = data.outputs or names or len(counts)
    for split in splits:
        part = getattr(data, split)
        assert part.y is not None
        high = part.y >= classes
        if bool(high.any()):
            row = int(high.nonzero()[0, 0])
            raise CorpusError(
                f"{_place(data, split, row)}: label {int(part.y[high][0])} is "
                f"not among the {classes} classes of the training split (0 to {classes - 1})"
            )
    if data.outputs:
        return classes
    empty = (torch.bincount(_labels(data.train), minlength=classes) == 0).nonzero().flatten()
    if len(empty):
        raise CorpusError(
            f"{data.name}: no training sequence has class {int(empty[0])} of 0 to {classes - 1}; number "
            "the classes without gaps, or deal the sequences out by another seed"
        )
    if classes < 2:
        raise CorpusError(
            f"{data.name}: all training labels are 0; a classification needs 2 classes"
        )
    return classes


def _place(data: Sequences, split: Split, row: int) -> str:
    """Where something is wrong; data that are only to be scored have one split."""
    return f"{data.name}, " + ("" if data.outputs else f"the {WORDS[split]} split, ") + f"row {row}"
