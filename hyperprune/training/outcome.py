"""What training one network came to: an epoch at a time, and why it ended early if it did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from hyperprune.events import DENSE as DENSE

if TYPE_CHECKING:  # commands that only look import no torch
    from hyperprune.lyapunov import LyapunovSpectrum
    from hyperprune.sparsity import Topology
    from hyperprune.training.trainer import EpochMetrics

REPEAT = "-s"
INT8 = "-int8"


def repeat_name(name: str, number: int) -> str:
    """Name of a training's repetition from its n-th seed: `c007-s2`."""
    return f"{name}{REPEAT}{number}"


def int8_name(name: str) -> str:
    """Name of the training that goes on from a network as eight bits hold it: `c007-int8`."""
    return f"{name}{INT8}"


def is_int8(name: str) -> bool:
    """Whether a training's weights are those that eight bits hold."""
    return name.endswith(INT8)


def repeat_of(name: str) -> tuple[str, int]:
    """The first training that a name repeats or goes on from, and from its how many-th seed: `c007`, 2."""
    name = name.removesuffix(INT8)
    first, mark, number = name.rpartition(REPEAT)
    return (first, int(number)) if mark and number.isdecimal() else (name, 1)


def is_further(name: str) -> bool:
    """Whether a training repeats another from a further seed, or goes on from it as int8.

    It is compared with no spectrum, so none of it is measured.
    """
    return repeat_of(name)[0] != name


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch of one network, as the checkpoint keeps it."""

    epoch: int
    train_loss: float  # in the unit of the task
    valid_loss: float
    averaging: bool
    largest: float | None  # largest exponent, nats per step; None where no spectrum was measured
    floored: int  # floored R entries of the spectrum
    topology: Mapping[str, Any]
    lost: float | None = None  # lost directions, mean over sequences; None in runs of 0.1
    exponents: int | None = None  # of how many
    valid_cost: float | None = None  # what the metric tells, where it is not the validation loss

    @property
    def cost(self) -> float:
        """What trainings are compared by: lower is better."""
        return self.valid_loss if self.valid_cost is None else self.valid_cost

    def plain(self) -> dict[str, Any]:
        """The record as JSON has it; a cost that is the loss is not said twice."""
        said = asdict(self)
        if self.valid_cost is None:
            del said["valid_cost"]
        return said

    @property
    def measured(self) -> bool:
        """Whether there is a spectrum of it."""
        return self.largest is not None

    @property
    def active(self) -> int:
        """Active weights of the masked tensors; 0 where nothing is masked."""
        return sum(tensor["active"] for tensor in self.topology.get("tensors", ()))

    @property
    def masked(self) -> int:
        """Entries of the masked tensors, active or not."""
        return sum(math.prod(tensor["shape"]) for tensor in self.topology.get("tensors", ()))

    @property
    def exploration(self) -> float | None:
        """Share of masked weights that were ever active; None where nothing is masked."""
        ever = sum(tensor["ever_active"] for tensor in self.topology.get("tensors", ()))
        return ever / self.masked if self.masked else None


def recorded(
    metrics: EpochMetrics, spectrum: LyapunovSpectrum | None, topology: Topology | None
) -> EpochRecord:
    """What is kept of an epoch: its losses, what its spectrum comes to, and where its weights are."""
    return EpochRecord(
        **asdict(metrics),
        topology=topology.plain() if topology else {},
        **told_of(spectrum),
    )


def told_of(spectrum: LyapunovSpectrum | None) -> dict[str, Any]:
    """What a record keeps of a spectrum, None where none was measured."""
    if spectrum is None:
        return {"largest": None, "floored": 0}
    return {
        "largest": spectrum.largest,
        "floored": spectrum.floored,
        "lost": spectrum.lost,
        "exponents": len(spectrum.exponents),
    }


def comparable(records: Sequence[EpochRecord]) -> list[EpochRecord]:
    """The epochs with the fewest active weights: what gradual pruning passes on its way there is
    denser than was asked for, and no result."""
    fewest = min((record.active for record in records), default=0)
    return [record for record in records if record.active == fewest]


def best_of(records: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch of the lowest cost of those that are comparable, the first of equal ones."""
    return min(comparable(records), key=lambda record: record.cost)


@dataclass(frozen=True)
class Failure:
    """Why a network could not be trained. A transient cause may be gone at the next try."""

    kind: Literal["diverged", "raised", "memory", "killed"]
    cause: str

    @property
    def transient(self) -> bool:
        """Whether trying again can help."""
        return self.kind in ("memory", "killed")


@dataclass(frozen=True)
class Outcome:
    """All finished epochs of a network, and why there are no more of them if it failed."""

    candidate: str
    epochs: tuple[EpochRecord, ...]
    failure: Failure | None = None

    def until(self, epoch: int) -> Outcome:
        """What it was when it had reached an epoch."""
        if len(self.epochs) <= epoch:
            return self
        return Outcome(self.candidate, self.epochs[:epoch])
