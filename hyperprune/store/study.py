"""The folder of a study in a user's own loop: its settings, its facts, and what trials keep.

study.json        what was asked for         journal.jsonl   facts, without clock times
dense/, c000/ …   one folder a trial: a spectrum an epoch, the best weights, the newest state
log.jsonl         every event                lock            who works on it now
result.json       what every trial came to, when the winner is known
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperprune.errors import RunError
from hyperprune.store import atomic, layout
from hyperprune.store.folder import check_new
from hyperprune.store.run import Run

RECORD = "study.json"
FORMAT = 1


class StudyFolder(Run):
    """Facts and trainings are kept as a run keeps them; there is no recipe that could be resumed."""

    @classmethod
    def of(cls, folder: Path, said: Mapping[str, Any]) -> StudyFolder:
        """A new study's folder, or that of one which was asked for in the same words.

        Raises RunError where it is another study's, or somebody else's.
        """
        path = folder / RECORD
        if path.exists():
            found = atomic.read_json(path)
            if not isinstance(found, dict) or found.get("format") != FORMAT:
                raise RunError(f"{path} is damaged, or of another hyperprune's format")
            differing = [key for key in said if found.get(key) != said[key]]
            if not differing and [*found["space"]] != [*said["space"]]:
                differing = ["space"]  # a searcher draws its settings in their order
            if differing:
                was, now = (str(about.get(differing[0]))[:200] for about in (found, said))
                raise RunError(
                    f"{folder} holds a study with another {differing[0]}: {was} there, {now} here; ask for "
                    "it in the same words to go on, or take another folder"
                )
            return cls(folder)
        check_new(folder, RECORD)
        made = cls(folder)
        atomic.write_json(path, {"format": FORMAT, **said}, sort=False)
        return made

    def state(self, trial: str, epoch: int) -> Path:
        """Where a trial keeps what it goes on from after an epoch."""
        return self.training(trial).path / f"state-{epoch:04d}.pt"

    def save_state(self, trial: str, epoch: int, state: Any) -> None:
        """Keep a state of plain values and tensors; raises RunError where it holds anything else."""
        path = self.state(trial, epoch)
        atomic.write(path, lambda partial: torch.save(state, partial))
        try:
            self.load_state(trial, epoch)
        except RunError:
            path.unlink()
            raise

    def load_state(self, trial: str, epoch: int) -> Any:
        """Read a state; nothing in it is executed."""
        path = self.state(trial, epoch)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise RunError(f"{path} is gone: {trial} cannot go on from epoch {epoch}") from error
        except Exception as error:  # a damaged file can raise almost anything
            reason = str(error).partition("\n")[0]
            raise RunError(f"{path} holds more than tensors and plain values: {reason}") from error

    def discard_states(self, trial: str, keep: int = 0) -> None:
        """Delete a trial's states but the one of epoch `keep`; a disk that refuses keeps them."""
        for path in self.training(trial).path.glob("state-*.pt"):
            if path != self.state(trial, keep):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def save_best(self, trial: str, tensors: Mapping[str, Tensor], epoch: int, loss: float) -> None:
        """Keep the best weights so far."""
        about = {"epoch": epoch, "valid_loss": loss}
        atomic.write_tensors(self.training(trial).best, tensors, about)

    @property
    def result(self) -> Any:
        """What every trial came to; None before the winner is known."""
        path = self.folder / layout.RESULT
        return atomic.read_json(path) if path.exists() else None

    def save_result(self, result: Any) -> None:
        """Say what every trial came to: the study is finished."""
        atomic.write_json(self.folder / layout.RESULT, result)
