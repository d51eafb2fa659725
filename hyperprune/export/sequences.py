"""What a network makes of sequences of numbers, and how well that answers what is asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hyperprune.corpus import Part, Sequences
from hyperprune.corpus.array_files import Columns, part_of, read_table
from hyperprune.corpus.given import arrays_of, inputs_of, part_given
from hyperprune.corpus.labels import read_labels
from hyperprune.corpus.sequences import scaled_by
from hyperprune.errors import CorpusError, RunError
from hyperprune.model import State
from hyperprune.plugins import registry
from hyperprune.store.reads import Reads
from hyperprune.task import Cut, Task
from hyperprune.terms.metric import Metric

if TYPE_CHECKING:
    from hyperprune.export.about import About

KINDS = (".npz", ".safetensors", ".csv")
Predict = Callable[[Tensor, State], tuple[Tensor, State]]
"""Inputs (T, B, F) and state to outputs (T, B, O) and the new state."""


@dataclass(frozen=True)
class Answer:
    """What was answered to a sequence: outputs (O,) after its last step, or (T, O) at every step.

    `loss` and `cost` are means over what is scored of it; None where nothing is.
    """

    outputs: Tensor
    loss: float | None
    cost: float | None


@dataclass(frozen=True)
class SequencesScore:
    """How well sequences were answered: the task's metric and loss over all, each by itself."""

    metric: Metric
    value: float
    loss: float
    unit: str  # of the loss
    answers: tuple[Answer, ...]


class _Said(nn.Module):
    """A network that answers what was answered already."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return self.outputs, state


@torch.no_grad()
def score_sequences(
    about: About, predict: Predict, initial: Callable[[int], State], given: Any
) -> SequencesScore:
    """Score a file, or (x, y), by the task of a run; raises CorpusError, PluginError.

    Sequences are scaled as the run's were, and batched as for its validation split.
    """
    reads = about.sequences()
    name, part = _part(about, given)
    task = _task(about, name, part)
    train = about.recipe.train
    found: list[list[Tensor]] = []
    sums: list[tuple[int, float, float]] = []  # scored answers, their losses, their costs
    first, state = 0, initial(0)
    for batch in task.heldout(Cut(train.eval_batch, train.bptt), "test"):
        if batch.begins:
            first, state = len(found), initial(batch.width)
            found += [[] for _ in range(batch.width)]
            sums += [(0, 0.0, 0.0)] * batch.width
        if batch.a_step != reads.a_step:
            now, then = ("step" if own else "sequence" for own in (batch.a_step, reads.a_step))
            raise CorpusError(f"{name} has an answer a {now}; the network learnt one a {then}")
        outputs, state = predict(batch.inputs, state)  # (T, B, O)
        _check_padding(outputs, batch.lengths, name)
        for n in range(batch.width):
            own = batch.rows(slice(n, n + 1))
            length = len(outputs) if own.lengths is None else int(own.lengths)
            found[first + n].append(outputs[:length, n])
            if count := own.scored[0]:
                loss, cost, _ = task.evaluation_loss(_Said(outputs[:, n : n + 1]), own, ())
                before, lost, paid = sums[first + n]
                each = float(loss), float(loss if cost is None else cost)
                sums[first + n] = before + count, lost + count * each[0], paid + count * each[1]
    total = sum(count for count, _, _ in sums)
    if not total:
        raise CorpusError("there is no answer to score")
    mean = math.fsum(paid for _, _, paid in sums) / total
    return SequencesScore(
        task.metric,
        task.metric.value(mean),
        math.fsum(lost for _, lost, _ in sums) / total,
        task.unit,
        tuple(
            Answer(
                _outputs(pieces, reads),
                lost / count if count else None,
                paid / count if count else None,
            )
            for pieces, (count, lost, paid) in zip(found, sums, strict=True)
        ),
    )


@torch.no_grad()
def answer_sequences(
    about: About, predict: Predict, initial: Callable[[int], State], x: Any
) -> list[Tensor]:
    """Outputs for sequences, x (N, T, F) or a list of (T, F); raises CorpusError."""
    reads = about.sequences()
    part = _scaled(part_given(inputs_of(x, "x"), "x"), reads, "x")
    batch, found = about.recipe.train.eval_batch, list[Tensor]()
    for start in range(0, len(part), batch):
        own = part[slice(start, start + batch)]
        longest = int(own.lengths.max())
        inputs = own.x[:, :longest].transpose(0, 1)  # (T, B, F)
        outputs, _ = predict(inputs, initial(len(own)))
        _check_padding(outputs, own.lengths, "x")
        found += [
            _outputs([outputs[:length, n]], reads) for n, length in enumerate(own.lengths.tolist())
        ]
    return found


def _outputs(pieces: list[Tensor], reads: Reads) -> Tensor:
    """Outputs (T, O) of a sequence, or (O,) after its last step."""
    whole = torch.cat(pieces)
    return whole if reads.a_step else whole[-1]


def _check_padding(outputs: Tensor, lengths: Tensor | None, name: str) -> None:
    """Raise CorpusError where sequences differ in length, and outputs (T, B, O) are one for each.

    The network read what they were padded with before it answered.
    """
    if lengths is None or len(outputs) < 2 or bool((lengths == lengths[0]).all()):
        return
    if torch.equal(outputs, outputs[:1].expand_as(outputs)):
        raise CorpusError(
            f"{name}: sequences have different lengths, and the network answers once for each, after what "
            "they are padded with; give those of one length together"
        )


def _part(about: About, given: Any) -> tuple[str, Part]:
    """What was given by its name, and as a split that the network can read."""
    reads = about.sequences()
    if not isinstance(given, Path):
        part = part_given(arrays_of(given, "data"), "data", reads.labels)
        return "data", _scaled(part, reads, "data")
    if given.suffix not in KINDS:
        raise CorpusError(
            f"{given} is none of {', '.join(KINDS)}: this network reads sequences of numbers"
        )
    if not given.is_file():
        raise CorpusError(f"there is no file {given}")
    options = about.recipe.data.options
    names = {key: options.get(key, key) for key in ("sequence", "time", "label", "group")}
    [table] = read_labels(
        [read_table(given, Columns(**names))], str if reads.labels else None, a_step=reads.a_step
    )
    unknown = sorted(table.words - set(reads.labels))
    if unknown:
        raise CorpusError(
            f"{given}: label {unknown[0]!r} is none of the network's: {', '.join(reads.labels) or 'numbers'}"
        )
    return given.name, _scaled(part_of(table, reads.labels), reads, given)


def _scaled(part: Part, reads: Reads, where: object) -> Part:
    features = part.x.shape[2]
    if features != reads.inputs:
        raise CorpusError(f"{where}: x has {features} features; the network reads {reads.inputs}")
    if reads.mean is None or reads.scale is None:
        return part
    return scaled_by(part, torch.tensor(reads.mean), torch.tensor(reads.scale))


def _task(about: About, name: str, part: Part) -> Task:
    """The run's task on other sequences."""
    about.check_plugins(("task",))
    recipe, reads = about.recipe, about.sequences()
    data = Sequences(name, part, part, part, reads.labels, outputs=reads.outputs)
    task: Task = registry().bind("task", recipe.task.name, recipe.task.options)(data)
    if task.size != reads.size:
        raise RunError(
            f"task {recipe.task.name!r} wants {task.size} for these sequences, and the network has "
            f"{reads.size}"
        )
    return task
