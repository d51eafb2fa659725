"""A task with losses and costs of somebody's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from hyperprune.errors import PluginError
from hyperprune.plugins import registry
from hyperprune.sources.where import Where, find
from hyperprune.task import SequenceTask
from hyperprune.terms.metric import Metric

Said = Sequence[str] | None
"""Path, name and hash of a function, or none of one's own."""


def task_of(base: str, loss: Said, metric: Said) -> Callable[..., SequenceTask]:
    """A task's factory: as `base`, but for the loss, the metric, or both.

    loss(outputs, targets) and metric(outputs, targets) take answers (n, O) and targets (n, …) and return
    a number for each answer, (n,), of which less is better.
    """
    own_loss = None if loss is None else find(Where(*loss))
    own_cost = None if metric is None else find(Where(*metric))

    def make(data: Any) -> SequenceTask:
        """The task, on its data."""
        task = registry().bind("task", base)(data)
        if not isinstance(task, SequenceTask):
            raise PluginError(f"task {base!r} is none of sequences: own losses are for these")
        plain = task.losses

        def losses(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
            usual = plain(outputs, targets) if own_loss is None or own_cost is None else None
            found = usual[0] if own_loss is None else _each("loss", own_loss, outputs, targets)  # type: ignore[index]
            if own_cost is not None:
                return found, _each("metric", own_cost, outputs, targets).detach()
            return found, usual[1] if usual else None

        task.losses = losses  # type: ignore[method-assign]
        if own_loss is not None:
            task.unit = f"mean {own_loss.__name__}"
        named = own_cost or (own_loss if task.metric.of == "cost" else None)
        if named is not None:
            task.metric = Metric(named.__name__, f"{named.__name__}s")
            task.unigram = lambda: math.inf  # type: ignore[method-assign]
        return task

    return make


def _each(what: str, function: Callable[..., Any], outputs: Tensor, targets: Tensor) -> Tensor:
    found = function(outputs, targets)
    if not isinstance(found, Tensor) or found.shape != outputs.shape[:1]:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise PluginError(
            f"{what} {function.__name__} returned {shape} for {len(outputs)} answers; expected a number for "
            f"each, ({len(outputs)},): reduction='none'"
        )
    return found
