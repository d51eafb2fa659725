"""How many workers a run takes, and how many threads each: said by its recipe, or what fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from hyperprune.model import Features, parameter_count
from hyperprune.plan.disk import checkpoint_bytes
from hyperprune.plugins import registry
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.machine import cores

PROCESS = 700 * 10**6
"""Bytes of a process that has imported torch and trains: 440 to 620 MB were measured."""
COPIES = 3
"""Weights at once beside what a checkpoint holds: gradients, and the best weights being written."""
LOGITS = 4
"""Copies of a segment's logits that training holds at once: they, their softmax, both gradients."""


@dataclass(frozen=True)
class Asked:
    """What a recipe asks of an executor; 0 workers or threads: as many as fit."""

    workers: int
    threads: int
    memory: int  # bytes that a worker needs on its device; 0: not known
    gpu: bool  # whether workers may train on GPUs


def resources(recipe: Recipe) -> tuple[int, int]:
    """Workers of a recipe, and torch threads of each; its executor says what fits.

    An executor whose callable has no `fit` gets one worker where the recipe says `auto`, and the
    machine's cores are shared out.
    """
    choice = recipe.search.executor
    executor = registry().get("executor", choice.name)
    workers = 0 if recipe.search.workers == "auto" else recipe.search.workers
    asked = Asked(
        workers,
        recipe.train.threads,
        0 if workers else worker_bytes(recipe),
        recipe.train.device != "cpu",
    )
    found: Any = executor.ask("fit", asked, **choice.options)
    if found is None:
        return shared_out(workers or 1, recipe.train.threads)
    workers, threads = found
    return int(workers), int(threads)


def shared_out(workers: int, threads: int) -> tuple[int, int]:
    """Workers with the machine's cores shared out between them, where threads are not said (0)."""
    return workers, threads or max(1, cores() // workers)


def worker_bytes(recipe: Recipe) -> int:
    """Memory that a worker needs at its fullest, bytes: an upper estimate, to choose how many fit.

    Its process, what a checkpoint holds, further copies of the weights, and a segment's logits.
    """
    from hyperprune.training.build import build_model, load_task

    task, train = load_task(recipe), recipe.train
    weights = parameter_count(build_model(recipe, task.size, torch.device("cpu")))
    outputs = task.size.outputs if isinstance(task.size, Features) else task.size
    longest = train.max_bptt or train.bptt + (20 if train.variable_bptt else 0)
    rows = max(train.micro_batch or train.batch, train.eval_batch)
    logits = longest * rows * outputs * 4
    held = checkpoint_bytes(weights, train, train.epochs) + COPIES * weights * 4
    return PROCESS + held + LOGITS * logits
