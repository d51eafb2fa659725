"""Sparse training of a LightningModule: `Trainer(callbacks=[SparseTrainingCallback(density=0.2)])`."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from hyperprune.errors import SparsityError
from hyperprune.integrations.keeper import Keeper
from hyperprune.sparsity import SparseTraining


class SparseTrainingCallback(Callback):
    """Makes a `SparseTraining` when training starts, and lets it work before each optimiser step.

    settings: those of `SparseTraining`; `every` may also be `"epoch"`: at the first step of each epoch but
    the first. total_steps is the trainer's own estimate unless given. optimizer: which of several has the
    weights to be masked. The engine's state lies in Lightning's checkpoints, and training goes on from
    these to the bit. Raises SparsityError for settings that there are not.
    """

    def __init__(self, *, optimizer: int = 0, **settings: Any) -> None:
        self._keeper, self._index = Keeper(settings), optimizer

    @property
    def engine(self) -> SparseTraining:
        """The engine, once training has started; raises SparsityError before."""
        if self._keeper.engine is None:
            raise SparsityError("there is no engine before training has started")
        return self._keeper.engine

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the engine; weights and optimisers are there, and those of a checkpoint put back."""
        optimizers = trainer.optimizers
        if not 0 <= self._index < len(optimizers):
            raise SparsityError(f"found optimizer {self._index}; the module has {len(optimizers)}")
        steps = float(trainer.estimated_stepping_batches)
        self._keeper.begin(pl_module, optimizers[self._index], steps)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Move the topology where that is due, by the gradients of this step."""
        engine = self._keeper.engine
        if engine is not None and optimizer is engine.optimizer:
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            self._keeper.before_step(scaler, trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the engine."""
        state = self._keeper.state()
        return {} if state is None else {"tensors": state[0], "values": state[1]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a checkpoint's, for when training starts."""
        if state_dict:
            self._keeper.saved = (state_dict["tensors"], state_dict["values"])
