"""The course of the learning rate over a training, as a factor of the recipe's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Course = Literal["constant", "cosine", "step", "plateau"]


@dataclass(frozen=True)
class LearningRate:
    """How a learning rate rises and falls; every time is in epochs of the *full* training.

    So a short run is a prefix of its long one, whatever the course. cosine falls from the end of
    the warm-up to the end of training; step multiplies by `decay` every `decay_every` epochs;
    plateau does so each time the validation loss has had no new best for `patience` epochs.
    """

    course: Course = "constant"
    epochs: int = 1
    warmup: float = 0.0
    decay: float = 0.25
    decay_every: int = 10
    patience: int = 1
    floor: float = 0.0

    def factor(self, done: float, losses: Sequence[float] = ()) -> float:
        """Factor of the rate after `done` epochs (a fraction inside one), in [0, 1].

        losses: the validation losses of all finished epochs. The floor bounds what the course
        falls to; the warm-up, a straight line from 0, multiplies that.
        """
        warm = min(1.0, done / self.warmup) if self.warmup else 1.0
        return warm * max(self.floor, self._fall(done, losses))

    def _fall(self, done: float, losses: Sequence[float]) -> float:
        if self.course == "cosine":
            length = max(self.epochs - self.warmup, 1e-9)
            progress = min(max(done - self.warmup, 0.0) / length, 1.0)
            return 0.5 * (1 + math.cos(math.pi * progress))
        if self.course == "step":
            return self.decay ** (int(done) // self.decay_every)
        if self.course == "plateau":
            return self.decay ** plateaus(losses, self.patience)
        return 1.0


def plateaus(losses: Sequence[float], patience: int) -> int:
    """How often a course of losses had no new best for `patience` epochs, counting anew after each."""
    best, waited, found = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == patience:
            waited, found = 0, found + 1
    return found
