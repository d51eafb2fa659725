"""A network as a program without Python: tokens and state in, log-probabilities and state out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule
from torch.nn import functional

from hyperprune.errors import PluginError
from hyperprune.export.network import TrainedNetwork
from hyperprune.model import State
from hyperprune.runtime.quiet import quiet

LARGEST = 4096
"""Largest batch of an exported program, and the longest text that it takes at once."""
aten = torch.ops.aten


class Step(nn.Module):
    """One step of any recurrent model: tokens (B,) and state to log-probabilities (B, V), state."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """A segment of one token."""
        logits, state = self.model(token.unsqueeze(0), tuple(state))
        return functional.log_softmax(logits[0], -1), tuple(state)


class Sequence(nn.Module):
    """A traced step over the first dimension of its tokens, inside the program: no step a token."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Tokens (T, B) and state to log-probabilities (T, B, V), state."""
        from torch._higher_order_ops.scan import scan

        def one(carried: list[Tensor], token: Tensor) -> tuple[list[Tensor], Tensor]:
            predicted, after = self.step(token, tuple(carried))
            return [part.clone() for part in after], predicted

        after, predicted = scan(one, list(state), tokens)
        return predicted, tuple(after)


def step_program(network: TrainedNetwork) -> ExportedProgram:
    """Trace the step for any batch; raises PluginError where a model cannot be traced."""
    state = network.initial_state(2)
    batch = Dim("batch", min=1, max=LARGEST)
    shapes = ({0: batch}, tuple({0: batch} for _ in state))
    token = torch.zeros(2, dtype=torch.int64)
    return _traced(network, lambda: Step(network.model), (token, state), shapes)


def sequence_program(network: TrainedNetwork) -> ExportedProgram:
    """Trace whole segments of any length and batch; raises PluginError as `step_program` does."""
    state = network.initial_state(2)
    time, batch = (Dim(name, min=1, max=LARGEST) for name in ("time", "batch"))
    shapes = ({0: time, 1: batch}, tuple({0: batch} for _ in state))
    tokens = torch.zeros(3, 2, dtype=torch.int64)
    step = step_module(network)
    return _traced(network, lambda: Sequence(step), (tokens, state), shapes)


def step_module(network: TrainedNetwork) -> GraphModule:
    """The traced step as a module of plain operations, without its checks; raises PluginError."""
    with quiet():
        module = step_program(network).run_decompositions().module()
    assert isinstance(module, GraphModule)
    for node in list(module.graph.nodes):
        if node.target == aten._assert_tensor_metadata.default or node.target == "_guards_fn":
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _traced(
    network: TrainedNetwork, make: Callable[[], nn.Module], given: Any, shapes: Any
) -> ExportedProgram:
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(make(), given, dynamic_shapes=shapes)
    except Exception as error:  # a tracer fails in as many ways as there are models
        first = (str(error).strip().splitlines() or [""])[0]
        raise PluginError(
            f"model {network.recipe.model.name!r} cannot be traced by torch.export: {first}"
        ) from error
