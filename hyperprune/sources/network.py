"""A network of batches of sequences, as tasks want networks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import PluginError
from hyperprune.hookspecs import reads_features
from hyperprune.model import Features, State
from hyperprune.sources.where import Where, find


class Given(nn.Module):
    """A network `net` of x (B, T, F) that answers (B, O), or (B, T, O) at every step.

    Outwards inputs are (T, B, F) and outputs (T, B, O), as tasks have them; no state is carried.
    """

    whole = True
    """Every call begins anew, with a whole sequence: see `hyperprune.export.step`."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def initial_state(self, batch: int) -> State:
        """Nothing: the network begins every sequence by itself."""
        return ()

    def forward(self, inputs: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Outputs (T, B, O): an answer for a whole sequence stands at each of its steps."""
        found = self.net(inputs.transpose(0, 1))
        steps, batch = inputs.shape[:2]
        if isinstance(found, Tensor):
            if found.dim() in (1, 2) and len(found) == batch:
                return found.reshape(1, batch, -1).expand(steps, -1, -1), state
            if found.dim() == 3 and found.shape[:2] == (batch, steps):
                return found.transpose(0, 1), state
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise PluginError(
            f"the network answered {shape} to x of shape {(batch, steps, inputs.shape[2])}; expected "
            f"({batch}, O), one answer a sequence, or ({batch}, {steps}, O), one a step"
        )


class Stepping(Given):
    """A network that offers `step` and `initial_state` itself: its spectrum is that of its step."""

    def initial_state(self, batch: int) -> State:
        """The network's own."""
        state = self.net.initial_state(batch)  # type: ignore[operator]
        return (state,) if isinstance(state, Tensor) else tuple(state)

    def step(self, x_t: Tensor, state: State) -> State:
        """The network's own."""
        own = state[0] if isinstance(self.net.initial_state(1), Tensor) else state  # type: ignore[operator]
        new = self.net.step(x_t, own)  # type: ignore[operator]
        return (new,) if isinstance(new, Tensor) else tuple(new)


def builder(path: str, name: str, sha256: str) -> Callable[..., Given]:
    """A model's builder around a function or class; its parameters are the model's options."""
    target = find(Where(path, name, sha256))
    function = target.__init__ if inspect.isclass(target) else target

    @reads_features
    def build(size: int | Features, **options: Any) -> Given:
        net = target(**options)
        if not isinstance(net, nn.Module):
            raise PluginError(f"{name} built {type(net).__name__}; expected a torch.nn.Module")
        if hasattr(net, "step") and hasattr(net, "initial_state"):
            return Stepping(net)
        return Given(net)

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(target).parameters.values()
        if parameter.kind
        in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]
    size = inspect.Parameter("size", inspect.Parameter.POSITIONAL_ONLY)
    build.__dict__["__signature__"] = inspect.Signature([size, *own])
    build.__dict__["__wrapped__"] = function  # where annotations are looked up
    build.__name__ = name
    build.__doc__ = (inspect.getdoc(target) or f"{name} of {path}").partition("\n")[0]
    return build


def answers_once(net: Given, x: Tensor) -> bool:
    """Whether a network answers once a sequence, found by asking it; x: (B, T, F)."""
    with torch.no_grad():
        found = net.net(x)
    return isinstance(found, Tensor) and found.dim() < 3


def trained_buffers(net: Given, x: Tensor) -> list[str]:
    """Names of saved buffers that a pass in training changes; x: (B, T, F)."""
    saved = net.net.state_dict()
    before = {name: buffer.clone() for name, buffer in net.net.named_buffers() if name in saved}
    if before:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            net.net.train()(x)
    after = dict(net.net.named_buffers())
    return [name for name, own in before.items() if not torch.equal(own, after[name])]
