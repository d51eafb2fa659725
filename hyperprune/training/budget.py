"""How dense a network may be within a recipe's budget: numbers that it keeps, or bytes of its tables in C."""

from __future__ import annotations

import math

from torch import nn

from hyperprune.errors import SparsityError
from hyperprune.model import parameter_count
from hyperprune.recipe.records import Prune
from hyperprune.sparsity.parameters import masked_parameters
from hyperprune.terms.blocks import EACH
from hyperprune.terms.bytes import bytes_of

FLOAT, OFFSET, NARROW, WIDE = 4, 4, 2, 4
"""Bytes of a float32, of where a row begins, and of a column's number below `MANY` columns and above."""
MANY = 2**16
BYTES = {"float32": FLOAT, "int8": 1}


def density_within(model: nn.Module, prune: Prune) -> float | None:
    """Share of a network's masked weights that its budget leaves; None without one.

    1 where the whole network keeps to it. In blocks as many whole ones as fit, and in bytes as many as
    fit in compressed rows (or rows of blocks): a value each, two bytes for its column, four for where a
    row begins, for int8 a scale a row; biases and what is excluded are float32. Raises SparsityError for
    a network that cannot be pruned so far.
    """
    if not prune.budgeted:
        return None
    shapes = [(len(p), p.numel() // len(p)) for _, p in masked_parameters(model, prune.exclude)]
    high, wide = (1, 1) if prune.block == EACH else map(int, prune.block.split("x"))
    tall = [math.ceil(rows / high) for rows, _ in shapes]
    places = sum(
        t * math.ceil(columns / wide) for t, (_, columns) in zip(tall, shapes, strict=True)
    )
    rest = parameter_count(model) - sum(rows * columns for rows, columns in shapes)
    if dense_size(model, prune) <= limit(prune):
        return 1.0
    if prune.active is not None:
        fixed, each = rest, high * wide
    else:
        number = BYTES[prune.budget_dtype]
        broadest = max(columns for _, columns in shapes)
        fixed = FLOAT * rest + sum(OFFSET * (t + 1) for t in tall) + _scales(shapes, number)
        each = high * wide * number + (NARROW if broadest < MANY else WIDE)
    kept = (limit(prune) - fixed) // each
    if kept < len(shapes):
        raise SparsityError(
            f"{said(prune)} leave no weight to each of {len(shapes)} masked tensors of this network, "
            f"which keeps {fixed:,} {'numbers' if prune.active is not None else 'bytes'} beside them"
        )
    return kept / places


def dense_size(model: nn.Module, prune: Prune) -> int:
    """What a network takes of its budget while nothing of it is pruned."""
    if prune.active is not None:
        return parameter_count(model)
    shapes = [(len(p), p.numel() // len(p)) for _, p in masked_parameters(model, prune.exclude)]
    masked = sum(rows * columns for rows, columns in shapes)
    number = BYTES[prune.budget_dtype]
    rest = FLOAT * (parameter_count(model) - masked)
    return masked * number + rest + _scales(shapes, number)


def limit(prune: Prune) -> int:
    """The budget as a number: of numbers, or of bytes."""
    return prune.active if prune.active is not None else bytes_of(prune.budget or "0 B")


def said(prune: Prune) -> str:
    """The budget in words: `100,000 weights`, `64 KiB of float32 in C`."""
    if prune.active is not None:
        return f"{prune.active:,} weights"
    return f"{prune.budget} of {prune.budget_dtype} in C"


def _scales(shapes: list[tuple[int, int]], number: int) -> int:
    """Bytes of a float32 a row, where numbers are not floats themselves."""
    return 0 if number == FLOAT else sum(FLOAT * rows for rows, _ in shapes)
