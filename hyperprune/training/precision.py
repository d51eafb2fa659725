"""`train.precision = "auto"`: bfloat16 where the processor has it and a few timed steps gain by it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch

from hyperprune.recipe.records import Recipe
from hyperprune.runtime.seeds import derive
from hyperprune.task import Batch, Task
from hyperprune.training.build import build_trainer, resolve_device
from hyperprune.training.trainer import Trainer

AUTO = "auto"
STEPS = 8
"""Steps that each precision takes, in turns, the first of which is not counted."""
PATIENCE = 20.0
"""Seconds after which no further step is timed."""
GAIN = 1.1
"""How many times as fast bfloat16 must be: less is noise, and float32 has more digits."""


@dataclass(frozen=True)
class Choice:
    """A precision and why it was chosen, in words."""

    precision: Literal["float32", "bfloat16"]
    because: str


def native(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware: CUDA from 8.0, AVX-512 or AMX on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    ask = getattr(torch.cpu, "get_capabilities", None)
    able = dict(ask()) if ask is not None else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def choose(recipe: Recipe, task: Task) -> Choice:
    """Decide for a recipe whose `train.precision` is `auto`, on this machine and with its network."""
    device = resolve_device(recipe.train.device)
    if not native(device):
        return Choice("float32", "this processor has no bfloat16 of its own")
    gain = speed_up(recipe, task)
    faster = gain >= GAIN
    return Choice(
        "bfloat16" if faster else "float32",
        f"a step in bfloat16 is {gain:.2f} times as fast as in float32 here"
        + ("" if faster else f", and less than {GAIN:g} is not worth its digits"),
    )


def speed_up(recipe: Recipe, task: Task) -> float:
    """Median ratio of the times of a sparse training step, float32 over bfloat16, on the same batches."""
    whole, half = (
        build_trainer(settled(recipe, name), task, sparse=True) for name in ("float32", "bfloat16")
    )
    batches = islice(task.epoch(whole.cut, derive(recipe.seed, "precision")), STEPS)
    begun, ratios = time.perf_counter(), []
    for batch in batches:
        seconds = [_timed(trainer, batch) for trainer in (whole, half)]
        ratios.append(seconds[0] / seconds[1])
        if time.perf_counter() - begun > PATIENCE and len(ratios) > 1:
            break
    return statistics.median(ratios[1:] or ratios)


def settled(recipe: Recipe, precision: str) -> Recipe:
    """The recipe with a precision of its own."""
    train = recipe.train.model_copy(update={"precision": precision})
    return recipe.model_copy(update={"train": train})


def _timed(trainer: Trainer, batch: Batch) -> float:
    start = time.perf_counter()
    trainer.rehearse(batch)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return time.perf_counter() - start
