"""A network as a program without Python: inputs and state in, what it makes of them and state out.

Of a language model these are tokens and log-probabilities, of other tasks features and outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from hyperprune.errors import PluginError, RunError
from hyperprune.export.network import TrainedNetwork
from hyperprune.model import State
from hyperprune.runtime.quiet import quiet

LARGEST = 4096
"""Largest batch of an exported program, and the longest text that it takes at once."""
aten = torch.ops.aten


class Step(nn.Module):
    """One step of any recurrent model: tokens (B,) and state to log-probabilities (B, V), state.

    Of other tasks inputs (B, F) and state to outputs (B, O), state.
    """

    def __init__(self, model: nn.Module, *, language: bool = True) -> None:
        super().__init__()
        self.model, self.language = model, language

    def forward(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """A segment of one token."""
        outputs, state = self.model(token.unsqueeze(0), tuple(state))
        return outputs[0].log_softmax(-1) if self.language else outputs[0], tuple(state)


class Whole(nn.Module):
    """A network that begins every sequence by itself: inputs (T, B, F) to outputs (T, B, O)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """A whole sequence."""
        outputs: Tensor = self.model(inputs, ())[0]
        return outputs.clone()  # one answer for all steps is a view of itself


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


def sample(network: TrainedNetwork, steps: int, batch: int) -> Tensor:
    """Inputs for trying a network out: tokens (T, B), or features (T, B, F)."""
    if network.about.reads is None:
        return torch.arange(steps * batch).view(steps, batch) % len(network.vocabulary)
    draw = torch.Generator().manual_seed(0)
    return torch.randn(steps, batch, network.about.reads.inputs, generator=draw)


def carries(network: TrainedNetwork) -> bool:
    """Whether the state goes on from one call to the next, as steps need it."""
    return not getattr(network.model, "whole", False)


def step_program(network: TrainedNetwork) -> ExportedProgram:
    """Trace the step for any batch; raises PluginError where a model cannot be traced.

    Raises RunError where the network begins every sequence by itself.
    """
    if not carries(network):
        raise RunError(
            "this network reads whole sequences and carries no state from one call to the next, so it has no "
            "step to take by itself; the form is sequence"
        )
    state = network.initial_state(2)
    batch = Dim("batch", min=1, max=LARGEST)
    shapes = ({0: batch}, tuple({0: batch} for _ in state))
    given = (sample(network, 1, 2)[0], state)
    return _traced(
        network, lambda: Step(network.model, language=network.about.language), given, shapes
    )


def sequence_program(network: TrainedNetwork) -> ExportedProgram:
    """Trace whole segments of any length and batch; raises PluginError as `step_program` does."""
    if not carries(network):
        return whole_program(network)
    state = network.initial_state(2)
    time, batch = (Dim(name, min=1, max=LARGEST) for name in ("time", "batch"))
    shapes = ({0: time, 1: batch}, tuple({0: batch} for _ in state))
    step = step_module(network)
    return _traced(network, lambda: Sequence(step), (sample(network, 3, 2), state), shapes)


def whole_program(network: TrainedNetwork) -> ExportedProgram:
    """Trace a network that reads whole sequences, for sequences as long as the run's.

    For any batch where the network can be traced so, else for one sequence. Raises RunError where the
    run's sequences have different lengths: tracing writes every step down.
    """
    steps = network.about.sequences().steps
    if steps is None:
        raise RunError(
            "this network reads whole sequences, which are traced step by step, and those of its run have "
            "different lengths; the formats safetensors and compact keep it"
        )
    batch = Dim("batch", min=1, max=LARGEST)
    try:
        given = (sample(network, steps, 2),)
        return _traced(network, lambda: Whole(network.model), given, ({1: batch},))
    except PluginError:  # its code counts the sequences
        given = (sample(network, steps, 1),)
        return _traced(network, lambda: Whole(network.model), given, None)


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


def with_weights(step: GraphModule, network: TrainedNetwork) -> GraphModule:
    """A copy of a traced step, with the weights of a network of the same architecture in their place."""
    own = dict(network.model.named_parameters(remove_duplicate=False))
    placed = {
        id(parameter): own[name.removeprefix("model.")]
        for name, parameter in step.named_parameters()
    }
    with quiet():
        return copy.deepcopy(step, placed)


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
