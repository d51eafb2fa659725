"""Tasks of long memory at any length, and a chaotic series: made by a seed, no download."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from hyperprune.corpus import Sequences

Count = Annotated[int, Field(ge=2)]
Length = Annotated[int, Field(ge=2, le=100_000)]
Seed = Annotated[int, Field(ge=0)]


def adding(
    root: Path | None,
    *,
    length: Length = 50,
    train: Count = 2000,
    valid: Count = 400,
    test: Count = 400,
    data_seed: Seed = 0,
) -> Sequences:
    """Sum of the two marked numbers of a sequence, one in either half; a task for `regression`.

    Hochreiter & Schmidhuber 1997 (Neural Computation 9), in the form of Arjovsky et al. 2016 (arXiv
    1511.06464): features are a number in [0, 1) and a mark. `root` is not used.
    """
    import torch

    def draw(count: int, seed: Generator) -> tuple[Tensor, Tensor]:
        numbers = torch.rand(count, length, generator=seed)
        half, row = length // 2, torch.arange(count)
        marks = torch.zeros(count, length)
        first = torch.randint(half, (count,), generator=seed)
        second = half + torch.randint(length - half, (count,), generator=seed)
        marks[row, first] = marks[row, second] = 1
        return torch.stack([numbers, marks], -1), numbers[row, first] + numbers[row, second]

    return _made("adding", draw, (train, valid, test), data_seed)


def copying(
    root: Path | None,
    *,
    length: Annotated[int, Field(ge=0, le=100_000)] = 30,
    items: Annotated[int, Field(ge=1)] = 5,
    symbols: Annotated[int, Field(ge=2)] = 4,
    train: Count = 2000,
    valid: Count = 400,
    test: Count = 400,
    data_seed: Seed = 0,
) -> Sequences:
    """Symbols to be named again, in order, after `length` blanks; a task for `classification`.

    Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016 (arXiv 1511.06464). Features are one-hot: the
    symbols, a blank, and a signal at every step whose label is scored. `root` is not used.
    """
    import torch

    from hyperprune.corpus import UNSCORED

    def draw(count: int, seed: Generator) -> tuple[Tensor, Tensor]:
        named = torch.randint(symbols, (count, items), generator=seed)
        blank = torch.full((count, length), symbols)
        signal = torch.full((count, items), symbols + 1)
        steps = torch.cat([named, blank, signal], 1)  # (N, T)
        labels = torch.full_like(steps, UNSCORED)
        labels[:, items + length :] = named
        return torch.nn.functional.one_hot(steps, symbols + 2).float(), labels

    return _made("copying", draw, (train, valid, test), data_seed)


def parity(
    root: Path | None,
    *,
    length: Length = 20,
    train: Count = 2000,
    valid: Count = 400,
    test: Count = 400,
    data_seed: Seed = 0,
) -> Sequences:
    """Whether the bits so far add up to an odd number, at every step; a task for `classification`.

    The feature is the bit, as −1 or 1. `root` is not used.
    """
    import torch

    def draw(count: int, seed: Generator) -> tuple[Tensor, Tensor]:
        bits = torch.randint(2, (count, length), generator=seed)
        return (2.0 * bits - 1).unsqueeze(-1), bits.cumsum(1) % 2

    return _made("parity", draw, (train, valid, test), data_seed)


def mackey_glass(
    root: Path | None,
    *,
    length: Annotated[int, Field(ge=100, le=1_000_000)] = 4000,
    delay: Annotated[int, Field(ge=1, le=200)] = 17,
    valid: Annotated[float, Field(gt=0, lt=1)] = 0.15,
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15,
    data_seed: Seed = 0,
) -> Sequences:
    """One chaotic series, cut in time; a task for `forecasting`.

    Mackey & Glass 1977 (Science 197): x' = 0.2 x(t−τ) / (1 + x(t−τ)¹⁰) − 0.1 x, by Heun's method at steps of
    0.1, one value a unit of time; scaled to mean 0 and variance 1. `root` is not used.
    """
    import torch

    from hyperprune.corpus import Part, Sequences, cut_in_time, scaled

    draw = torch.Generator().manual_seed(data_seed)
    start = 1.2 + 0.1 * float(torch.rand((), generator=draw, dtype=torch.float64))
    series = torch.tensor(_heun(start, length, delay), dtype=torch.float32).view(1, -1, 1)
    whole = Part(series, torch.tensor([length]))
    trained, held, tested = cut_in_time("mackey_glass", whole, valid=valid, test=test)
    return scaled(Sequences("mackey_glass", trained, held, tested))


WASHED_OUT = 500
"""Units of time until the start does not show."""
STEPS = 10
"""Of Heun's method, a unit of time."""


def _heun(start: float, length: int, delay: int) -> list[float]:
    past = deque([start] * (delay * STEPS + 1))  # x(t − τ) … x(t)
    found = []
    x = start
    for step in range((WASHED_OUT + length) * STEPS):
        late, next_late = past[0], past[1]
        slope = 0.2 * late / (1 + late**10) - 0.1 * x
        guess = x + slope / STEPS
        other = 0.2 * next_late / (1 + next_late**10) - 0.1 * guess
        x += (slope + other) / (2 * STEPS)
        past.popleft()
        past.append(x)
        if step >= WASHED_OUT * STEPS and step % STEPS == STEPS - 1:
            found.append(x)
    return found


def _made(name: str, draw: Any, counts: tuple[int, int, int], seed: int) -> Sequences:
    """Three splits of drawn sequences, all of one length."""
    import torch

    from hyperprune.corpus import Part, Sequences

    source = torch.Generator().manual_seed(seed)
    parts = []
    for count in counts:
        x, y = draw(count, source)
        parts.append(Part(x, torch.full((count,), x.shape[1]), y))
    return Sequences(name, parts[0], parts[1], parts[2])
