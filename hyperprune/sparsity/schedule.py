"""When the topology changes, how much is removed then, and how dense it leaves the network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from hyperprune.errors import SparsityError, SparsityNotice
from hyperprune.sparsity.update import Control

TIMELESS = 5
"""Updates that are not told how far training is before a notice."""


@dataclass(frozen=True)
class Timing:
    """The course of a training's topology; `progress` is the share of it that is done, in [0, 1].

    Raises SparsityError for a course that cannot be run.
    """

    density: float
    initial_density: float
    removal_rate: float
    schedule: Control
    every: int | None
    total_steps: int | None
    stop: float

    def __post_init__(self) -> None:
        if not 0 < self.density <= self.initial_density <= 1:
            raise SparsityError(
                f"found density {self.density} from {self.initial_density}; both lie in (0, 1] and "
                "it never rises"
            )
        if self.gradual and not 0 < self.stop < 1:
            raise SparsityError(
                f"found stop {self.stop}; gradual pruning ends before training does: 0 < stop < 1"
            )
        if not 0 <= self.removal_rate <= 1:
            raise SparsityError(f"found removal rate {self.removal_rate}; it lies between 0 and 1")
        if self.every is not None and (self.every < 1 or self.total_steps is None):
            raise SparsityError("updates every k ≥ 1 steps need total_steps, the full training's")

    @property
    def gradual(self) -> bool:
        """Whether the density falls while training goes on."""
        return self.initial_density > self.density

    def progress(self, steps: int) -> float:
        """Share of training that so many steps are; 0 where its length is not known."""
        return steps / self.total_steps if self.total_steps else 0.0

    def without_progress(self, updates: int) -> None:
        """Say that an update is not told how far training is, where it goes by that.

        Raises SparsityError where density falls; of a removal rate that should, there is a notice.
        """
        right = "give SparseTraining total_steps, or say step(update=True, progress=…)"
        if self.gradual:
            raise SparsityError(f"gradual pruning goes by how far training is: {right}")
        falls = self.stop < 1 or self.rate_at(0.0) != self.rate_at(1.0)
        if updates == TIMELESS and falls:
            warnings.warn(
                f"{TIMELESS} updates were not told how far training is: the removal rate stays where it "
                f"began, and no stop comes; {right}",
                SparsityNotice,
                stacklevel=5,
            )

    def due(self, steps: int) -> bool:
        """Whether an update is due after so many steps."""
        return self.every is not None and steps > 0 and steps % self.every == 0

    def moves(self, progress: float) -> bool:
        """Whether the topology may still change."""
        return progress < self.stop or self.stop == 1

    def density_at(self, progress: float) -> float:
        """Density that an update at this progress leaves behind (Zhu & Gupta 2017, eq. 1)."""
        if not self.gradual:
            return self.density
        left = max(0.0, 1 - progress / self.stop)
        return self.density + (self.initial_density - self.density) * left**3

    def rate_at(self, progress: float) -> float:
        """Removal rate at a progress; raises SparsityError when the schedule leaves [0, 1]."""
        rate = float(self.schedule.function(min(max(progress, 0.0), 1.0), self.removal_rate))
        if not 0 <= rate <= 1:
            raise SparsityError(
                f"schedule {self.schedule.name!r} returned {rate} at progress {progress:.3f}; "
                "a removal rate lies between 0 and 1"
            )
        return rate


def densities(
    density: float | None,
    initial: float | None,
    masks: Sequence[Tensor] | None,
    total: Callable[[float], int],
) -> tuple[float, float]:
    """Final and initial density; masks that are given decide the initial one, and the final one too
    where it is not said. `total` counts what a density leaves active. Raises SparsityError where
    nothing says either.
    """
    if masks is None:
        if density is None:
            raise SparsityError("found no density: give the share of weights that stays active")
        return density, density if initial is None else initial
    size = sum(mask.numel() for mask in masks)
    active = sum(int(mask.count_nonzero()) for mask in masks)
    if density is not None and total(density) == active:
        return density, density
    return active / size if density is None else density, active / size
