"""Whole sequences of different lengths, padded, masked, and cut in time where that is asked."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.corpus import UNSCORED, Part, Sequences, padded
from hyperprune.errors import CorpusError
from hyperprune.task.contract import Batch, Batches, Cut

WORDS = {"train": "training", "valid": "validation", "test": "test"}


def whole_batches(part: Part, cut: Cut, seed: int | None = None, *, steps: int = 0) -> Batches:
    """Batches of sequences side by side, shuffled by a seed, each as long as its longest.

    With `steps` they are cut in time into segments, and the state is carried from one to the next.
    Segments without an answer that is scored are left out.
    """
    count = len(part)
    order = torch.arange(count)
    if seed is not None:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed % 2**63))
    groups = [order[start : start + cut.batch] for start in range(0, count, cut.batch)]
    plan: list[tuple[Tensor, int, int, bool, tuple[int, ...]]] = []
    for group in groups:
        longest = int(part.lengths[group].max())
        size, begins = steps or longest, True
        for start in range(0, longest, size):
            scored = _scored(part, group, start, min(start + size, longest))
            if sum(scored):
                plan.append((group, start, min(start + size, longest), begins, scored))
                begins = False

    def make(number: int) -> Batch:
        group, start, stop, begins, scored = plan[number]
        own = part[group]
        y = own.y
        assert y is not None
        targets = y[:, start:stop].transpose(0, 1) if part.a_step else y
        return Batch(
            inputs=own.x[:, start:stop].transpose(0, 1),  # (T, B, F)
            targets=targets,  # (T, B, …) or (B, …)
            scored=scored,
            weight=sum(scored),
            begins=begins,
            lengths=(own.lengths - start).clamp(0, stop - start),
            a_step=part.a_step,
        )

    return Batches(len(plan), make)


def _scored(part: Part, group: Tensor, start: int, stop: int) -> tuple[int, ...]:
    """Answers that count, of each sequence of a group, between two steps."""
    if not part.a_step:
        return (1,) * len(group)
    found: list[int] = mask(part, group)[:, start:stop].sum(1).tolist()
    return tuple(found)


def mask(part: Part, group: Tensor) -> Tensor:
    """Steps (N, T) whose answers count: inside the sequence, and labelled."""
    assert part.y is not None
    steps = torch.arange(part.x.shape[1])
    inside = steps < part.lengths[group][:, None]
    y = part.y[group]
    return inside if y.is_floating_point() else inside & (y != UNSCORED)


def pieces_of(part: Part, least: int) -> Part:
    """The sequences, each cut into pieces of one length where there are fewer than `least`.

    What does not fill a piece at a sequence's end is left out.
    """
    if len(part) >= least:
        return part
    assert part.y is not None
    each = -(-least // len(part))  # pieces of a sequence
    rows: list[tuple[Tensor, Tensor]] = []
    for x, y, length in zip(part.x, part.y, part.lengths.tolist(), strict=True):
        size = max(1, length // each)
        ends = range(size, length + 1, size)
        rows += [(x[end - size : end], y[end - size : end]) for end in list(ends)[:each]]
    xs, lengths = padded([x for x, _ in rows])
    return Part(xs, lengths, padded([y for _, y in rows])[0])


def first_long(part: Part, name: str, sequences: int, steps: int) -> Tensor:
    """The first sequences of so many steps or more: (T, B, F); raises CorpusError for too few."""
    able = (part.lengths >= steps).nonzero().flatten()
    if len(able) < sequences:
        longest = int(part.lengths.max())
        raise CorpusError(
            f"the validation split of {name} has {len(able)} sequences of {steps} steps or more (its "
            f"longest has {longest}, of {len(part)}); a spectrum of {sequences} sequences × {steps} "
            f"steps (spectrum.sequences, steps, burn_in) needs {sequences}"
        )
    return part.x[able[:sequences], :steps].transpose(0, 1).contiguous()


def need_sequences(data: object, task: str) -> Sequences:
    """The data as sequences; raises CorpusError where they are a text."""
    if not isinstance(data, Sequences):
        name = getattr(data, "name", type(data).__name__)
        raise CorpusError(
            f"task.name: {task!r} needs sequences of numbers, and corpus {name!r} is a text; "
            "data.corpus = 'arrays' reads your own, 'digits' comes with hyperprune"
        )
    return data
