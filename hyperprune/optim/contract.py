"""What a training loop asks of an optimiser beside `step`: exact resumption, averages, rescaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import RunError


class Optimizer(torch.optim.Optimizer):
    """A torch optimiser with what a training loop needs beside `step`.

    Made from `model.named_parameters()`, so that its state has names; without, parameters are named
    by their place. `averaging` says whether evaluation uses averages; plain optimisers never do.
    """

    averaging = False

    def observe(self, valid_loss: float) -> None:
        """Take note of a validation loss; may start averaging."""

    def restart(self) -> None:
        """Fine-tune: go on from the averages, and average afresh, where there is averaging."""

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put averages in the weights' place within the block, then restore the weights exactly."""
        yield

    @contextmanager
    def rescaled(self, factor: float) -> Iterator[None]:
        """Multiply every learning rate by a factor within the block (a segment's length / bptt)."""
        rates = [group["lr"] for group in self.param_groups]
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        try:
            yield
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate

    def named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield every parameter with its name."""
        for number, group in enumerate(self.param_groups):
            places = [f"{number}:{place}" for place in range(len(group["params"]))]
            yield from zip(group.get("param_names", places), group["params"], strict=True)

    def flat_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All state as (tensors by flat name, JSON values): what safetensors and JSON can hold."""
        tensors: dict[str, Tensor] = {}
        values: dict[str, Any] = {"lr": [group["lr"] for group in self.param_groups]}
        values["scalars"] = scalars = {}
        for name, parameter in self.named():
            for key, value in self.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"{key}.{name}"] = value
                else:
                    scalars[f"{key}.{name}"] = value
        return tensors, values

    @torch.no_grad()
    def load_flat_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from `flat_state`'s answer; raises RunError where it is another network's."""
        parameters = dict(self.named())
        self.state.clear()
        for flat, value in (*tensors.items(), *values["scalars"].items()):
            key, _, name = flat.partition(".")
            if name not in parameters:
                raise RunError(f"saved optimiser state of {name!r}, which this network has not")
            if isinstance(value, Tensor):
                # Step counters are 0-dimensional and stay where the optimiser made them.
                value = value.to(parameters[name].device) if value.dim() else value
                value = value.clone()
            self.state[parameters[name]][key] = value
        for group, rate in zip(self.param_groups, values["lr"], strict=True):
            group["lr"] = rate
