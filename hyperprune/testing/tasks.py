"""The suite that every task passes: `check_task(make)`, on the tiny data that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from hyperprune.corpus import Corpus, Sequences
from hyperprune.errors import CorpusError
from hyperprune.model import Features
from hyperprune.task import Batch, Cut, Metric, Split, Task
from hyperprune.testing.tiny import TinyModel, TinySequenceModel, tiny_corpus, tiny_sequences

CUT = Cut(batch=4, bptt=6)
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def check_task(make: Callable[[Corpus | Sequences], Task]) -> list[str]:
    """Assert that a task keeps its contract on the tiny data that it takes; returns their names.

    Every other data is refused with CorpusError. Sequences whose `outputs` are known beforehand, which
    are only to be scored, may be two and lack classes. An epoch depends on its seed alone, batches of rows
    add up to the batch, losses are finite and differentiable, and spectra are driven by what was asked
    for.
    """
    taken = []
    tried: list[Corpus | Sequences] = [tiny_corpus(), *tiny_sequences().values()]
    for data in tried:
        try:
            task = make(data)
        except CorpusError:
            continue
        taken.append(data.name)
        _check(task)
        if isinstance(data, Sequences) and isinstance(task.size, Features):
            _check_scoring(make, data, task.size)
    assert taken, "the task takes neither the tiny text nor any of the tiny sequences"
    return taken


def _check(task: Task) -> None:
    assert isinstance(task, Task), f"made {type(task).__name__}, not a hyperprune.task.Task"
    assert isinstance(task.metric, Metric), "metric is not a hyperprune.task.Metric"
    assert isinstance(task.unit, str), "unit is not a word"
    assert task.unit, "unit is empty; say what a loss counts, such as nats per label"
    for split in SPLITS:
        task.check(CUT, split, "train.batch")
    size = task.size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = (
            TinySequenceModel(size.inputs, size.outputs)
            if isinstance(size, Features)
            else TinyModel(size)
        )
    _check_batches(task)
    _check_losses(task, model)
    driving = task.driving(2, 4)
    assert driving.shape[:2] == (4, 2), f"driving(2, 4) is {tuple(driving.shape)}, not (4, 2, …)"
    assert math.isfinite(task.unigram()), "unigram() is not finite"


def _check_scoring(
    make: Callable[[Corpus | Sequences], Task], data: Sequences, size: Features
) -> None:
    """Two sequences are enough to be scored by a network that was trained on others."""
    few = data.test[:2]
    scored = Sequences(data.name, few, few, few, data.labels, outputs=size.outputs)
    found = make(scored).size
    assert found == size, (
        f"data with outputs = {size.outputs}, which are only to be scored, made a task of size {found}, not "
        f"{size}"
    )


def _check_batches(task: Task) -> None:
    """Batches are as many as they say, the same for a seed, begin somewhere, and have weights."""
    epoch = task.epoch(CUT, 1)
    first, again = list(epoch), list(task.epoch(CUT, 1))
    assert len(first) == len(epoch), f"len says {len(epoch)} batches, there are {len(first)}"
    assert first, "an epoch without a batch"
    assert first[0].begins, (
        "the first batch of an epoch begins, since there is no state to go on from"
    )
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.inputs, other.inputs), "an epoch of the same seed differs"
        assert torch.equal(one.targets, other.targets), "an epoch of the same seed differs"
    for split in SPLITS[1:]:
        held = list(task.heldout(CUT, split))
        assert held, f"{split} without a batch"
        for one, other in zip(held, task.heldout(CUT, split), strict=True):
            assert torch.equal(one.inputs, other.inputs), f"{split} differs when read again"
    for batch in first:
        assert batch.weight > 0, "a batch without weight"
        assert len(batch.scored) == batch.width, "scored needs a count for every sequence"
        assert sum(batch.scored) > 0, "a batch of which nothing is scored"


def _check_losses(task: Task, model: torch.nn.Module) -> None:
    """Losses are finite scalars, those of rows add up, and every weight can learn."""
    batch = next(iter(task.epoch(CUT, 1)))
    state = model.initial_state(batch.width)  # type: ignore[operator]
    loss, mean, _ = task.training_loss(model, batch, state)
    assert loss.dim() == 0, f"the loss is {tuple(loss.shape)}, not a number"
    assert bool(loss.isfinite()), "the loss is not finite"
    loss.backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.parameters()), (
        "no weight has a gradient"
    )
    parts = [slice(0, 1), slice(1, batch.width)]
    total = sum(
        float(_mean(task, model, batch.rows(part)))
        * (sum(batch.rows(part).scored) / sum(batch.scored))
        for part in parts
        if sum(batch.rows(part).scored)
    )
    assert math.isclose(total, float(mean), rel_tol=1e-4, abs_tol=1e-5), (
        f"losses of rows add up to {total:.6g}, the batch has {float(mean):.6g}: scored does not say "
        "how many answers count"
    )
    held = next(iter(task.heldout(CUT, "valid")))
    with torch.no_grad():
        found, cost, _ = task.evaluation_loss(
            model,
            held,
            model.initial_state(held.width),  # type: ignore[operator]
        )
    told = float(found if cost is None else cost)
    assert math.isfinite(told), "the cost of the validation split is not finite"
    value = task.metric.value(told)
    assert math.isclose(task.metric.order(value), told, rel_tol=1e-6, abs_tol=1e-6)


def _mean(task: Task, model: torch.nn.Module, part: Batch) -> torch.Tensor:
    state = model.initial_state(part.width)  # type: ignore[operator]
    return task.training_loss(model, part, state)[1]
