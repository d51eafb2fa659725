"""A network's step as a program without Python: tokens and state in, log-probabilities and state out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional

from hyperprune.errors import PluginError
from hyperprune.export.network import TrainedNetwork
from hyperprune.model import State
from hyperprune.runtime.quiet import quiet

LARGEST = 4096
"""Largest batch of an exported program."""


class Step(nn.Module):
    """One step of any recurrent model: tokens (B,) and state to log-probabilities (B, V), state."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """A segment of one token."""
        logits, state = self.model(token.unsqueeze(0), tuple(state))
        return functional.log_softmax(logits[0], -1), tuple(state)


def step_program(network: TrainedNetwork) -> ExportedProgram:
    """Trace the step for any batch; raises PluginError where a model cannot be traced."""
    state = network.initial_state(2)
    batch = Dim("batch", min=1, max=LARGEST)
    token = torch.zeros(2, dtype=torch.int64)
    shapes = ({0: batch}, tuple({0: batch} for _ in state))
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(Step(network.model), (token, state), dynamic_shapes=shapes)
    except Exception as error:  # a tracer fails in as many ways as there are models
        first = (str(error).strip().splitlines() or [""])[0]
        raise PluginError(
            f"model {network.recipe.model.name!r} cannot be traced by torch.export: {first}"
        ) from error
