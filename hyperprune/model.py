"""What a recurrent network must offer, and what it may offer beside that.

Required: `initial_state`, `forward` and `step`. The rest is optional: training falls back to cross
entropy on `forward`'s logits, the Lyapunov engine to automatic differentiation of `step`, and a
tensor without gate names is treated as one gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

State: TypeAlias = tuple[Tensor, ...]
"""All that the recurrence carries: tensors (B, n_i), in the order of the model's `state_parts`."""


@dataclass(frozen=True)
class Features:
    """What a network of features reads and answers: so many numbers a step in, so many out.

    A builder marked by `hookspecs.reads_features` is given one in the place of a vocabulary's size.
    Its network maps inputs (T, B, inputs) to outputs (T, B, outputs).
    """

    inputs: int
    outputs: int


Gates: TypeAlias = tuple[str, ...] | Mapping[str, int]
"""Gates stacked along a tensor's first dimension: names of equal parts, or their rows by name."""


@dataclass(frozen=True)
class StatePart:
    """One tensor of the state: the layer it belongs to, its role, and its width n_i.

    `hidden` is what a layer shows to the layer above (h); `memory` is carried beside it (c). A `window` keeps
    the layer's last inputs, or what is projected of them, for a convolution: what is there leaves it after
    some steps, so its exponents are −∞ whatever the weights are, and no spectrum follows it.
    """

    layer: int
    kind: Literal["hidden", "memory", "window"]
    size: int


@dataclass(frozen=True)
class Place:
    """Where a group of units stands in a weight: unit i has entry `start` + i of dimension `dim`.

    A weight that stacks gates has a start for each. `sends`: these entries are what a unit passes on;
    where all that meet a living unit are 0, nothing is felt of it.
    """

    weight: str
    dim: int
    starts: tuple[int, ...] = (0,)
    sends: bool = False


@dataclass(frozen=True)
class Units:
    """Units that one dimension of several weights counts together, such as a layer's or an embedding's.

    `silent`: without weights a unit is 0 whatever its vectors are, so that no gradient could bring it back.
    """

    size: int
    places: tuple[Place, ...]
    silent: bool = False


@runtime_checkable
class RecurrentModel(Protocol):
    """The required part; every model is also an `nn.Module`."""

    def initial_state(self, batch: int) -> State:
        """Zero state for a batch, on the model's device and in its dtype."""
        ...

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Map tokens (T, B) to logits (T, B, V) and the state after the last token."""
        ...

    def step(self, x_t: Tensor, state: State) -> State:
        """One step of the recurrence, as in evaluation: x_t is token ids (B,) or inputs (B, E)."""
        ...


class RecurrentLM(nn.Module):
    """A convenient base: declares the optional parts with their defaults.

    A subclass may also define `tangent`, an analytic derivative of its step: see
    `hyperprune.lyapunov.tangent`.

    One that can be built narrower defines `units() -> Mapping[str, Units]`, its groups of units by name,
    and `narrowed(kept: Mapping[str, Tensor]) -> dict`: the builder's settings that change when of each
    group the units of a boolean tensor stay, in their order and under the same weights' names. `units` may
    raise PluginError to say why none can go.
    """

    state_parts: tuple[StatePart, ...]

    def gates(self) -> Mapping[str, Gates]:
        """Gates of each parameter that stacks them along its first dimension."""
        return {}

    def initial_state(self, batch: int) -> State:
        """Zero state for a batch, on the model's device and in its dtype."""
        like = next(self.parameters())
        return tuple(like.new_zeros(batch, part.size) for part in self.state_parts)

    def training_loss(
        self, tokens: Tensor, targets: Tensor, state: State
    ) -> tuple[Tensor, Tensor, State]:
        """Loss to minimise, mean negative log likelihood (nats per token), new state."""
        nll, state = self.evaluation_loss(tokens, targets, state)
        return nll, nll.detach(), state

    def evaluation_loss(
        self, tokens: Tensor, targets: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Mean negative log likelihood of targets (T, B) in nats per token, and the new state."""
        logits, state = self(tokens, state)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), state


def gate_rows(gates: Gates, rows: int) -> dict[str, slice]:
    """Rows of each gate in a tensor of that many rows; ValueError where they do not add up."""
    equal = rows // max(len(gates), 1)
    sizes = dict(gates) if isinstance(gates, Mapping) else dict.fromkeys(gates, equal)
    if sum(sizes.values()) != rows:
        named = isinstance(gates, Mapping)
        how = f"have {sum(sizes.values())} rows" if named else "are equal parts"
        listed = ", ".join(f"{name}: {size}" if named else name for name, size in sizes.items())
        raise ValueError(
            f"{len(gates)} gates ({listed}) {how}, which do not fill a tensor of {rows} rows"
        )
    found, start = {}, 0
    for name, size in sizes.items():
        found[name] = slice(start, start + size)
        start += size
    return found


def detach(state: State) -> State:
    """Cut the state from the graph that made it (truncated back-propagation)."""
    return tuple(part.detach() for part in state)


def parameter_count(model: nn.Module) -> int:
    """Trained numbers of a model; a tied tensor counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def losses(model: nn.Module) -> RecurrentLM:
    """Return the model itself where it computes its own losses, else cross entropy around it."""
    if hasattr(model, "training_loss") and hasattr(model, "evaluation_loss"):
        return model  # type: ignore[return-value]
    return _CrossEntropy(model)


class _CrossEntropy(RecurrentLM):
    """Cross entropy around a model that offers only `forward`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        result: tuple[Tensor, State] = self.model(tokens, state)
        return result


WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)


def inside(module: nn.Module) -> str:
    """The attribute in which a wrapper holds what it wraps, if it is one."""
    if isinstance(module, WRAPPERS):
        return "module"
    return "_orig_mod" if "_orig_mod" in module._modules else ""


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside all wrappers: of several devices, of averages, of torch.compile."""
    while name := inside(model):
        model = getattr(model, name)
    return model
