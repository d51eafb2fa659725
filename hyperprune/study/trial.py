"""One turn of a trial in a user's loop: what it is given, what it tells, and what it keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from hyperprune.errors import RunError, SpectrumError, nearest
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.recipe.records import Prune
from hyperprune.runtime.seeds import derive, seed_everything
from hyperprune.sparsity import SparseTraining
from hyperprune.store.facts import LARGEST_LOSS
from hyperprune.store.study import StudyFolder
from hyperprune.training.outcome import DENSE
from hyperprune.training.pruning import pruning

TOO_LARGE = f"one lies within ±{LARGEST_LOSS:g}: report it in another unit"


@dataclass(frozen=True)
class Report:
    """What a loop said of an epoch, and the spectrum of its network where it is measured."""

    network: nn.Module
    loss: float
    train_loss: float
    spectrum: LyapunovSpectrum | None


@dataclass(frozen=True)
class Desk:
    """What a study lends its trials. varied: the loop's own settings that the space names; measure: a
    network's spectrum; told: makes an epoch a fact, unless its distance cannot be had."""

    folder: StudyFolder
    seed: int
    epochs: int
    varied: frozenset[str]
    measure: Callable[[nn.Module], LyapunovSpectrum | None]
    told: Callable[[Trial, int, Report], bool]


class Given(Mapping[str, Any]):
    """A trial's settings of the loop's own; which of them were read is remembered."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        self.read.add(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(eq=False)
class Trial:
    """A network to train for some epochs: `for trial in study`.

    name: `dense` for the dense reference, `c000` … for candidates. dense: whether it is the former.
    settings: of the loop's own, also as `trial["lr"]`. prune: the section of a recipe that says how it is
    pruned, which `sparse` follows. reached: epochs that are behind it; until: the last one of this turn.
    """

    name: str
    settings: Given
    prune: Prune
    reached: int
    until: int
    desk: Desk = field(repr=False)
    cause: str | None = None
    engine: SparseTraining | None = field(default=None, repr=False)
    _parts: list[Any] = field(default_factory=list, repr=False)
    _report: Report | None = field(default=None, repr=False)
    _begun: bool = field(default=False, repr=False)

    @property
    def dense(self) -> bool:
        """Whether this is the dense reference, which is not pruned."""
        return self.name == DENSE

    def __getitem__(self, key: str) -> Any:
        """One of the loop's own settings; raises RunError for one that nobody gave."""
        if key not in self.settings:
            hint = (
                nearest(key, self.settings) or f"; known: {', '.join(self.settings) or 'nothing'}"
            )
            raise RunError(f"neither the space nor base has {key!r}{hint}")
        return self.settings[key]

    def sparse(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, *, steps: int, **more: Any
    ) -> SparseTraining:
        """Prune a network as the trial is to be pruned; call its `step()` where `optimizer.step()` stood.

        steps: optimiser steps that an epoch has, which say when the topology moves. `more` goes to
        `SparseTraining`. The dense reference gets an engine that masks nothing, so that one loop serves
        all. Network, optimiser and engine are kept by the trial from turn to turn.
        """
        if self._begun:
            raise RunError(f"{self.name}: call sparse before the epochs begin, which restore it")
        if steps < 1:
            raise RunError(f"found steps {steps}; an epoch has at least one optimiser step")
        if self.dense:
            said: dict[str, Any] = {
                "density": 1.0,
                "removal_rate": 0.0,
                "exclude": self.prune.exclude,
            }
        else:
            update = self.prune.update
            every = steps if update == "epoch" else None if update == "never" else update
            said = {**pruning(self.prune), "every": every, **more}
        said |= {"total_steps": steps * self.desk.epochs, "seed": derive(self.desk.seed, "masks")}
        self.engine = SparseTraining(network, optimizer, **said)
        self._parts = [network, optimizer]
        return self.engine

    def epochs(self, *kept: Any, after: int | None = None) -> Iterator[int]:
        """Yield the numbers of this turn's epochs, from 1; each must be reported before the next.

        kept: whatever else has `state_dict` and `load_state_dict` and changes in training (network and
        optimiser where `sparse` was not called; schedulers, scalers). Their state is kept after every
        epoch, and put back here when the trial comes again, in a later round or in another process. A
        trial that keeps nothing begins again at epoch 1, to the same result at a higher price. Those who
        keep their networks themselves say `after`: the epoch that the network at hand has behind it.

        Python's, NumPy's and torch's generators are seeded at the start of each epoch, alike in all trials.
        """
        if self._begun:
            raise RunError(f"{self.name}: its epochs have begun already; one loop a trial")
        self._begun = True
        parts = [*self._parts, *kept]
        if self.engine is not None:
            parts.append(self.engine)  # last, as it masks what was put back before it
        start = self._start(parts, after)
        for epoch in range(start + 1, self.until + 1):
            seed_everything(derive(self.desk.seed, "epoch", epoch))
            yield epoch
            report, self._report = self._report, None
            if self.cause is not None:
                return
            if report is None:
                raise RunError(
                    f"{self.name}: epoch {epoch} ended without a report; call trial.report(network, loss)"
                )
            if epoch <= self.reached:
                continue  # trained again, and known
            if parts and after is None:
                state = {"parts": [part.state_dict() for part in parts]}
                self.desk.folder.save_state(self.name, epoch, state)
            if not self.desk.told(self, epoch, report):
                return
            self.reached = epoch
            self.desk.folder.discard_states(self.name, keep=epoch)

    def report(
        self,
        network: nn.Module,
        loss: float,
        *,
        train_loss: float | None = None,
        spectrum: LyapunovSpectrum | None = None,
    ) -> LyapunovSpectrum | None:
        """Tell the validation loss of the epoch; the network's spectrum is measured, and returned.

        network: as it would be used (averages, where you average), in whichever mode. train_loss is read by
        objectives over training curves; the validation loss where it is not told. spectrum: one that you
        measured yourself. A loss or a network that is no longer finite ends the trial, and not the study:
        then the answer is None, as it is where `spectrum.measure` is false, or the trial has failed already.
        """
        if self.cause is not None:
            return None
        if not self._begun or self._report is not None:
            raise RunError(
                f"{self.name}: one report an epoch, inside `for epoch in trial.epochs()`"
            )
        self._check_read()
        loss = _number(loss)
        train_loss = loss if train_loss is None else _number(train_loss)
        for value in (loss, train_loss):
            if not math.isfinite(value):
                self.cause = f"diverged: a loss is {value}"
                return None
            if abs(value) > LARGEST_LOSS:
                raise RunError(f"{self.name}: found a loss of {value:g}; {TOO_LARGE}")
        for name, parameter in network.named_parameters():
            if not bool(parameter.isfinite().all()):
                self.cause = f"diverged: {name!r} holds NaN or infinity"
                return None
        if spectrum is None:
            try:
                spectrum = self.desk.measure(network)
            except SpectrumError as error:
                if self.dense:  # which nothing can be held against then
                    raise
                self.cause = f"its spectrum: {error}"
                return None
        self._report = Report(network, loss, train_loss, spectrum)
        return spectrum

    def fail(self, cause: str) -> None:
        """Say that the trial cannot go on, and why: a result of its configuration, not of the study.

        Inside its epochs, or after them and before the next trial is asked for.
        """
        self.cause = str(cause)

    def _start(self, parts: list[Any], after: int | None) -> int:
        """The epoch that is behind the parts, after putting back what was kept."""
        if after is not None:
            if not 0 <= after <= self.reached:
                raise RunError(
                    f"{self.name}: found after={after}; {self.reached} epochs are behind it"
                )
            return after
        for part in parts:
            if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
                raise RunError(
                    f"{self.name}: a {type(part).__name__} has no state_dict and load_state_dict to keep"
                )
        if not parts or not self.reached:
            return 0
        kept = self.desk.folder.load_state(self.name, self.reached)["parts"]
        if len(kept) != len(parts):
            raise RunError(
                f"{self.name}: {len(kept)} things were kept and {len(parts)} are to be put back"
            )
        for part, state in zip(parts, kept, strict=True):
            part.load_state_dict(*state) if isinstance(state, tuple) else part.load_state_dict(
                state
            )
        return self.reached

    def _check_read(self) -> None:
        """Raise RunError for a setting of the space that the loop never looks at."""
        idle = sorted(self.desk.varied - self.settings.read)
        if idle and self.reached == 0:
            hint = nearest(idle[0], Prune.model_fields)
            raise RunError(
                f"the loop never read trial[{idle[0]!r}], so that varying it does nothing{hint}"
            )


def _number(value: Any) -> float:
    """A loss as a float; raises RunError where it is none."""
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        shape = f" of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else ""
        raise RunError(
            f"found a {type(value).__name__}{shape} for a loss; expected one number"
        ) from None
