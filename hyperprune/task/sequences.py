"""What tasks on sequences of numbers share: batches, answers of a network, and what drives spectra."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from hyperprune.corpus import Part, Sequences
from hyperprune.errors import CorpusError
from hyperprune.model import Features, State
from hyperprune.task.contract import Batch, Batches, Cut, Split, Task
from hyperprune.task.whole import WORDS, first_long, whole_batches


class SequenceTask(Task):
    """Whole sequences, shuffled anew every epoch; a subclass says how many outputs, and what is lost.

    `data` holds the splits with an answer `y` for every sequence or step.
    """

    carried = False
    """Whether sequences are cut into segments of `train.bptt` steps with the state carried on."""

    def __init__(self, data: Sequences) -> None:
        self.data = data

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers that a network answers with, each step."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Loss of every scored answer (n,), and its cost where that is another.

        outputs: (n, O); targets: (n, …).
        """

    @property
    def size(self) -> Features:
        """Features in, numbers out."""
        return Features(self.data.features, self.outputs)

    def check(self, cut: Cut, split: Split, key: str) -> None:
        """Raise CorpusError where a split has nothing in it."""
        part = self._part(split)
        if not len(part):
            raise CorpusError(f"the {WORDS[split]} split of {self.data.name} has no sequence")
        if not len(whole_batches(part, cut)):
            raise CorpusError(f"the {WORDS[split]} split of {self.data.name} has no label to score")

    def epoch(self, cut: Cut, seed: int) -> Batches:
        """The training sequences in an order of the seed."""
        return whole_batches(self.data.train, cut, seed, steps=cut.bptt if self.carried else 0)

    def heldout(self, cut: Cut, split: Split) -> Batches:
        """The sequences of a held-out split in their order."""
        return whole_batches(self._part(split), cut, steps=cut.bptt if self.carried else 0)

    def training_loss(
        self, model: nn.Module, batch: Batch, state: State
    ) -> tuple[Tensor, Tensor, State]:
        """Loss to minimise (with a model's own penalty), mean loss, and the state."""
        outputs, penalty, state = answers(model, batch.inputs, state)
        mean, _ = self._means(outputs, batch)
        return mean + penalty, mean.detach(), state

    def evaluation_loss(
        self, model: nn.Module, batch: Batch, state: State
    ) -> tuple[Tensor, Tensor | None, State]:
        """Mean loss and mean cost of the scored answers, and the state."""
        outputs, state = model(batch.inputs, state)
        mean, cost = self._means(outputs, batch)
        return mean, cost, state

    def driving(self, sequences: int, steps: int) -> Tensor:
        """The first validation sequences that are long enough, to so many steps: (T, B, F)."""
        return first_long(self.data.valid, self.data.name, sequences, steps)

    def _means(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Mean loss and cost of what a batch scores, from outputs (T, B, O)."""
        own, targets = scored(outputs, batch)
        losses, costs = self.losses(own, targets)
        count = max(1, losses.numel())
        return losses.sum() / count, None if costs is None else costs.double().sum() / count

    def _part(self, split: Split) -> Part:
        part: Part = getattr(self.data, split)
        return part


def answers(model: nn.Module, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
    """Outputs (T, B, O) in training, the model's own penalty (0 where it has none), and the state."""
    if hasattr(model, "regularised"):
        found: tuple[Tensor, Tensor, State] = model.regularised(inputs, state)  # type: ignore[operator]
        return found
    outputs, state = model(inputs, state)
    return outputs, outputs.new_zeros(()), state


def scored(outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Answers that count, (n, O), and their targets (n, …): each sequence's last step, or its steps."""
    assert batch.lengths is not None
    if not batch.a_step:
        last = (batch.lengths - 1, torch.arange(batch.width, device=outputs.device))
        return outputs[last].float(), batch.targets
    steps = torch.arange(outputs.shape[0], device=outputs.device)
    inside = steps[:, None] < batch.lengths  # (T, B)
    if not batch.targets.is_floating_point():
        inside = inside & (batch.targets >= 0)
    return outputs[inside].float(), batch.targets[inside]
