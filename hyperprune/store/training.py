"""The folder of one training: last checkpoint, best weights, masks at the start, spectra."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hyperprune.errors import RunError
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.sparsity.maps import density_map
from hyperprune.store import atomic, layout
from hyperprune.store.facts import read_epochs
from hyperprune.terms.metric import Metric
from hyperprune.training.outcome import EpochRecord, best_of, comparable
from hyperprune.training.trainer import Trainer


def split_masks(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights and masks of a file of best weights, each by the name of its tensor."""
    start = layout.MASK
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(start)}
    masks = {n.removeprefix(start): mask for n, mask in tensors.items() if n.startswith(start)}
    return weights, masks


class TrainingFolder:
    """Reads and writes one training.

    The checkpoint is one file and holds the history with the state, so the two never disagree.
    What is written before it (best weights, the epoch's spectrum) is written again, the same to
    the bit, when a crash comes in between.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / layout.CHECKPOINT
        self.best = path / layout.BEST
        self.start = path / layout.START
        self.given = path / layout.GIVEN

    def spectrum(self, epoch: int) -> Path:
        """Where an epoch's spectrum lies."""
        return self.path / layout.SPECTRA / f"{epoch:04d}.safetensors"

    def restore(self, trainer: Trainer) -> list[EpochRecord]:
        """Bring a fresh trainer to where the folder stands; returns the finished epochs."""
        if not self.checkpoint.exists():
            return []
        try:
            tensors, metadata = atomic.read_tensors(self.checkpoint)
            history = read_epochs(metadata["history"], trainer.task.metric)
            trainer.load_state(tensors, metadata["trainer"])
            if trainer.epoch != len(history):
                raise ValueError(f"epoch {trainer.epoch} with a history of {len(history)}")
        except Exception as error:  # a damaged file can raise almost anything
            raise RunError(
                f"cannot go on from {self.checkpoint}: {error}; without that file its training "
                "begins anew, to the same result"
            ) from error
        return history

    def history(self, metric: Metric) -> tuple[EpochRecord, ...]:
        """The finished epochs that the checkpoint tells of; none where there is none, or a damaged one."""
        try:
            said = atomic.read_metadata(self.checkpoint)["history"]
            return tuple(read_epochs(said, metric))
        except (RunError, KeyError, TypeError, ValueError):
            return ()

    def save_start(self, trainer: Trainer) -> None:
        """Keep density maps of the masks before the first step, by tensor: pictures, no state."""
        masks = trainer.sparse.masks if trainer.sparse else {}
        maps = {name: density_map(mask) for name, mask in masks.items() if mask.ndim == 2}
        if maps:
            tensors = {name: torch.from_numpy(found) for name, found in maps.items()}
            atomic.write_tensors(self.start, tensors, {})

    def lost(self, epochs: Sequence[EpochRecord], *, weights: bool = True) -> list[str]:
        """What a training of these epochs has not got any more, a phrase each; best weights if asked."""
        spectra = [self.spectrum(record.epoch) for record in epochs if record.measured]
        wanted = (*spectra, self.best) if weights else spectra
        gone = [f"{path} is gone" for path in wanted if not path.exists()]
        if not weights or not self.best.exists():
            return gone
        return [*gone, *self._outdated(epochs)]

    def _outdated(self, epochs: Sequence[EpochRecord]) -> list[str]:
        """A phrase where the best weights are those of an epoch that another of these is better than.

        Those of an epoch that is not among these are of a training that goes on; damaged ones are
        found by whoever reads them.
        """
        try:
            kept = int(atomic.read_metadata(self.best)["epoch"])
        except (RunError, KeyError, TypeError, ValueError):
            return []
        best = best_of(epochs)
        same = [record.epoch for record in comparable(epochs) if record.cost == best.cost]
        if kept in same or kept > epochs[-1].epoch:
            return []
        return [f"{self.best} is of epoch {kept}, and epoch {best.epoch} was better"]

    def save(
        self, trainer: Trainer, spectrum: LyapunovSpectrum | None, history: list[EpochRecord]
    ) -> None:
        """Save what an epoch left: spectrum if measured, best weights if they are, checkpoint last."""
        newest = history[-1]
        if spectrum is not None:
            atomic.write(self.spectrum(newest.epoch), spectrum.save)
        if best_of(history).epoch == newest.epoch:
            self.save_weights(trainer, newest)
        tensors, state = trainer.state()
        metadata = {"trainer": state, "history": [record.plain() for record in history]}
        atomic.write_tensors(self.checkpoint, tensors, metadata)

    def take(self, source: TrainingFolder, epochs: Sequence[EpochRecord]) -> None:
        """Copy another training's spectra, where measured, and best weights; raises where one is missing
        or damaged."""
        for epoch in (record.epoch for record in epochs if record.measured):
            LyapunovSpectrum.load(source.spectrum(epoch))
            atomic.copy(source.spectrum(epoch), self.spectrum(epoch))
        atomic.read_tensors(source.best)
        atomic.copy(source.best, self.best)

    def give(self, source: TrainingFolder) -> None:
        """Put another training's best weights and masks here, for this one to go on from."""
        atomic.copy(source.best, self.given)

    def read_given(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and masks that this training goes on from; raises RunError."""
        return split_masks(atomic.read_tensors(self.given)[0])

    def save_weights(self, trainer: Trainer, record: EpochRecord) -> None:
        """Save the evaluation weights (averages, once they run) as the best so far."""
        metadata = {"epoch": record.epoch, "valid_loss": record.valid_loss}
        masks = trainer.sparse.masks if trainer.sparse else {}
        with trainer.as_saved():
            tensors = {name: p.detach() for name, p in trainer.model.named_parameters()}
            tensors |= {f"{layout.MASK}{name}": mask for name, mask in masks.items()}
            atomic.write_tensors(self.best, tensors, metadata)

    def discard_state(self) -> None:
        """Delete what only further training would need; a disk that refuses keeps it."""
        for path in (self.checkpoint, self.given):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def discard_weights(self) -> None:
        """Delete the best weights of a training that is out of the race; a refusal keeps them."""
        with contextlib.suppress(OSError):
            self.best.unlink(missing_ok=True)
