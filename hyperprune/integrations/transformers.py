"""Sparse training under Hugging Face's Trainer: `Trainer(callbacks=[SparseTrainingCallback(…)])`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hyperprune.errors import SparsityError, SparsityNotice
from hyperprune.integrations.keeper import Keeper, Saved
from hyperprune.sparsity import SparseTraining

STATE = "sparse_training.safetensors"
"""The engine's state, beside the trainer's own files in a checkpoint."""


class SparseTrainingCallback(TrainerCallback):
    """Makes a `SparseTraining` when training begins, and lets it work before each optimiser step.

    settings: those of `SparseTraining`; `every` may also be `"epoch"`: at the first step of each epoch but
    the first. total_steps is the trainer's own unless given. The engine's state is written into each
    checkpoint, from which training goes on to the bit; `checkpoint` says where it lies if not under the
    trainer's `output_dir`. Raises SparsityError for settings that there are not.
    """

    def __init__(self, *, checkpoint: Path | str | None = None, **settings: Any) -> None:
        self._keeper = Keeper(settings)
        self._begun = 0  # epochs, that of the next step among them
        self._checkpoint = None if checkpoint is None else Path(checkpoint)

    @property
    def engine(self) -> SparseTraining:
        """The engine, once training has begun; raises SparsityError before."""
        if self._keeper.engine is None:
            raise SparsityError("there is no engine before training has begun")
        return self._keeper.engine

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: nn.Module,
        optimizer: Any,
        **rest: Any,
    ) -> None:
        """Make the engine; weights and optimiser are there, and those of a checkpoint put back."""
        if state.global_step:
            self._keeper.saved = _read(self._folder(args, state) / STATE)
        self._keeper.begin(model, getattr(optimizer, "optimizer", optimizer), state.max_steps)
        self._begun = int((state.epoch or 0.0) + 1e-9)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Count the epochs, since `state.epoch` of data without a length says how far all of training is."""
        self._begun += 1

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        optimizer: Any,
        **rest: Any,
    ) -> None:
        """Move the topology where that is due, by the gradients of this step."""
        self._keeper.before_step(getattr(optimizer, "scaler", None), self._begun - 1)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Write the engine's state into the checkpoint that has just been made."""
        kept = self._keeper.state()
        if kept is None or not state.is_world_process_zero:
            return
        tensors, values = kept
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if folder.is_dir():
            ready = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
            save_file(ready, folder / STATE, metadata={"values": json.dumps(values)})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Put the engine back to the best checkpoint, where the trainer has put the weights back."""
        if not args.load_best_model_at_end or state.best_model_checkpoint is None:
            return
        best = Path(state.best_model_checkpoint) / STATE
        if best.exists():
            self._keeper.put_back(*_read(best))
        else:
            warnings.warn(
                f"there is no {best}: masks are the last step's, weights the best checkpoint's",
                SparsityNotice,
                stacklevel=2,
            )

    def _folder(self, args: TrainingArguments, state: TrainerState) -> Path:
        return self._checkpoint or Path(args.output_dir) / f"checkpoint-{state.global_step}"


def _read(path: Path) -> Saved:
    """The engine's state from a checkpoint; raises SparsityError where there is none, or a damaged one."""
    if not path.exists():
        raise SparsityError(
            f"there is no {path}: training goes on from a checkpoint whose masks are not known; give the "
            "callback that checkpoint's folder, checkpoint=…"
        )
    try:
        with safe_open(path, framework="pt") as file:
            values = json.loads(file.metadata()["values"])
            return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118
    except Exception as error:  # a damaged file can raise almost anything
        raise SparsityError(f"{path} is damaged: {error}") from error
