"""An engine that a callback makes once there is an optimiser, and puts back from a checkpoint."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError, nearest
from hyperprune.sparsity import SparseTraining

EPOCH = "epoch"
Saved = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""What `SparseTraining.state_dict` answers."""


class Keeper:
    """Holds what a callback knows of its engine; raises SparsityError for settings that there are not."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        known = set(inspect.signature(SparseTraining).parameters) - {"model", "optimizer"}
        for name in settings.keys() - known:
            raise SparsityError(
                f"SparseTraining has no setting {name!r}{nearest(name, known) or ''}; known: "
                + ", ".join(sorted(known))
            )
        self.settings = dict(settings)
        self.by_epoch = self.settings.get("every") == EPOCH
        if self.by_epoch:
            del self.settings["every"]
        self.engine: SparseTraining | None = None
        self.saved: Saved | None = None  # of a checkpoint, until there is an engine to have it
        self.epoch: int | None = None  # of the last step

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer, total_steps: float) -> None:
        """Make the engine, or give the one that there is another optimiser, masks as they are."""
        if self.engine is not None and self.saved is None:
            if self.engine.optimizer is not optimizer:
                self.engine.optimizer = optimizer
            return
        said = dict(self.settings)
        if "total_steps" not in said and 0 < total_steps < float("inf"):
            said["total_steps"] = int(total_steps)
        if self.saved is None:
            self.engine = SparseTraining(model, optimizer, **said)
            return
        # Making an engine cuts and scales what a checkpoint has restored already.
        weights, state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        self.engine = SparseTraining(model, optimizer, **said)
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
        self.put_back(*self.saved)
        self.saved = None

    def state(self) -> Saved | None:
        """What a checkpoint keeps: the engine's state with the epoch, or what no engine has had yet."""
        if self.engine is None or self.saved is not None:
            return self.saved
        tensors, values = self.engine.state_dict()
        return tensors, {**values, "epoch": self.epoch}

    def put_back(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Give the engine what `state` answered; raises SparsityError where it is another network's."""
        assert self.engine is not None
        self.engine.load_state_dict(tensors, values)
        self.epoch = values.get("epoch")

    def before_step(self, scaler: object, epoch: int) -> None:
        """Do what comes before the optimiser's step in an epoch; nothing where the scaler will skip it.

        By epochs the topology moves at the first step of each but epoch 0.
        """
        engine = self.engine
        if engine is None or (scaler is not None and not _finite(engine.optimizer)):
            return
        progress = None
        if self.by_epoch and engine.timing.total_steps:
            progress = min(1.0, engine.steps / engine.timing.total_steps)
        begins = 0 < epoch != self.epoch
        engine.prepare(update=begins if self.by_epoch else None, progress=progress)
        self.epoch = epoch


def _finite(optimizer: torch.optim.Optimizer) -> bool:
    own = (p.grad for group in optimizer.param_groups for p in group["params"])
    return all(bool(gradient.isfinite().all()) for gradient in own if gradient is not None)
