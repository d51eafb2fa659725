"""The contract of a task: data to batches, a network's answers to a loss, and what is told of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from hyperprune.model import Features, State
from hyperprune.terms.metric import Metric

Split: TypeAlias = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Cut:
    """How a recipe wants its data cut: sequences side by side, and steps of a carried segment."""

    batch: int
    bptt: int
    variable: bool = False  # lengths drawn anew for every segment
    longest: int = 0  # of a drawn segment; 0: bptt + 20, the published bound


@dataclass(frozen=True)
class Batch:
    """What one optimiser step learns from.

    A batch of carried segments goes on from the state in which the one before it ended; where it
    `begins`, states are zero. `weight` is its share in the mean loss of an epoch.
    """

    inputs: Tensor  # (T, B) ids, or (T, B, F) features
    targets: Tensor  # (T, B, …) one a step, or (B, …) one a sequence
    scored: tuple[int, ...]  # answers that count, of each sequence
    weight: int
    begins: bool
    lengths: Tensor | None = None  # (B,) of padded sequences; None: all are T long
    a_step: bool = True  # whether targets come one a step
    rate: float = 1.0  # factor of the learning rate

    @property
    def width(self) -> int:
        """Sequences side by side."""
        return self.inputs.shape[1]

    def rows(self, part: slice) -> Batch:
        """Some of the sequences."""
        return replace(
            self,
            inputs=self.inputs[:, part],
            targets=self.targets[:, part] if self.a_step else self.targets[part],
            scored=self.scored[part],
            lengths=None if self.lengths is None else self.lengths[part],
        )

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        inputs, targets = self.inputs.to(device), self.targets.to(device)
        return replace(self, inputs=inputs, targets=targets, lengths=lengths)


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch or of a split, each made when it is its turn."""

    count: int
    make: Callable[[int], Batch]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        return map(self.make, range(self.count))


class Evaluation(NamedTuple):
    """What a held-out split came to: the mean loss, and the cost where that is something else."""

    loss: float
    cost: float | None = None


class Task(ABC):
    """What a network is trained for, on data that it holds."""

    metric: Metric
    """How the cost is told: the validation loss, unless evaluations come with a cost of their own."""
    unit: str
    """Of the loss: `nats per token`."""
    bound: float = 700.0
    """A validation loss above this counts as diverged."""

    @property
    @abstractmethod
    def size(self) -> int | Features:
        """What a network is built for: words of a vocabulary, or features in and numbers out."""

    @abstractmethod
    def check(self, cut: Cut, split: Split, key: str) -> None:
        """Raise CorpusError where a split cannot be cut so; `key` names the setting of the batch."""

    @abstractmethod
    def epoch(self, cut: Cut, seed: int) -> Batches:
        """The training batches of one epoch; all that is drawn is drawn from the seed."""

    @abstractmethod
    def heldout(self, cut: Cut, split: Split) -> Batches:
        """The batches of a held-out split, always the same."""

    @abstractmethod
    def training_loss(
        self, model: nn.Module, batch: Batch, state: State
    ) -> tuple[Tensor, Tensor, State]:
        """Loss to minimise, mean loss of the scored answers, and the state after the batch."""

    @abstractmethod
    def evaluation_loss(
        self, model: nn.Module, batch: Batch, state: State
    ) -> tuple[Tensor, Tensor | None, State]:
        """Mean loss of the scored answers, their mean cost where that is another, and the state."""

    @abstractmethod
    def driving(self, sequences: int, steps: int) -> Tensor:
        """What drives every spectrum of a run: held-out inputs (T, B) or (T, B, F).

        Raises CorpusError where there are not so many.
        """

    @abstractmethod
    def unigram(self) -> float:
        """The metric, on the validation split, of who does not look at the inputs."""
