"""What a network of sequences reads and answers: what a vocabulary is to a language model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hyperprune.corpus import Corpus, Sequences
from hyperprune.errors import RunError
from hyperprune.model import Features
from hyperprune.store.facts import first_of
from hyperprune.task import Cut, Task

Count = Annotated[int, Field(ge=1)]
Scale = Annotated[float, Field(gt=0)]


class Reads(BaseModel):
    """Features a step in, numbers out, and how a sequence is made into what is read.

    a_step: whether there is an answer to every step, or one after the last. steps: of all sequences,
    where they have the same. mean, scale: what is taken off every feature, and what it is then divided
    by; None where features stay as they are.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    inputs: Count
    outputs: Count
    a_step: bool
    steps: Count | None = None
    labels: Annotated[tuple[str, ...], Field(strict=False)] = ()
    mean: Annotated[tuple[float, ...], Field(strict=False)] | None = None
    scale: Annotated[tuple[Scale, ...], Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Reads:
        for name, own in (("mean", self.mean), ("scale", self.scale)):
            if own is not None and len(own) != self.inputs:
                raise ValueError(f"{name} has {len(own)} numbers for {self.inputs} features")
        if (self.mean is None) != (self.scale is None):
            raise ValueError("mean and scale go together")
        return self

    @property
    def size(self) -> Features:
        """What a network is built for."""
        return Features(self.inputs, self.outputs)


def reads_of(task: Task, data: Corpus | Sequences, cut: Cut) -> Reads | None:
    """What networks of a task read; None where it is a text."""
    size = task.size
    if not isinstance(size, Features) or not isinstance(data, Sequences):
        return None
    a_step, steps = False, set[int]()
    for batch in task.heldout(cut, "valid"):
        a_step = batch.a_step
        steps |= {len(batch.inputs)} if batch.lengths is None else set(batch.lengths.tolist())
    return Reads(
        inputs=size.inputs,
        outputs=size.outputs,
        a_step=a_step,
        steps=steps.pop() if len(steps) == 1 else None,
        labels=data.labels,
        mean=None if data.mean is None else tuple(data.mean.tolist()),
        scale=None if data.scale is None else tuple(data.scale.tolist()),
    )


def read_reads(value: Any, path: Path) -> Reads:
    """Hold sequences.json against its format; raises RunError."""
    try:
        return Reads.model_validate_json(json.dumps(value))
    except ValueError as error:
        raise RunError(f"{path} is damaged: {first_of(error)}") from error
