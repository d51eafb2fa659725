"""The derivative of any model's `step`, by automatic differentiation.

Rows of all sequences' Jacobians are taken together: the batch is repeated r times, one backward
pass with a different unit cotangent for each repeat gives r rows of every sequence. No operator
needs a batching rule, so any module that treats its sequences independently works.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov.tangent import LayerTangent, StateKind
from hyperprune.model import State, StatePart

Step = Callable[[Tensor, State], State]

BUDGET = 64 * 2**20
"""Bytes of repeated state a chunk of rows may take (activations take a few times more)."""

FORWARD_COST = 3
"""A forward-mode column costs about as much as this many reverse-mode rows (measured)."""


@dataclass(frozen=True)
class StepLayer:
    """A layer as the engine differentiates it: which state parts, of all that `step` carries."""

    layer: int
    parts: tuple[int, ...]
    size: int


def step_layers(parts: Sequence[StatePart], kind: StateKind) -> list[StepLayer]:
    """Group state parts into layers, bottom first, without windows; "hidden" leaves the memories out too."""
    followed = {"hidden", "memory"} if kind == "full" else {"hidden"}
    found = []
    for layer in sorted({part.layer for part in parts}):
        chosen = tuple(
            index
            for index, part in enumerate(parts)
            if part.layer == layer and part.kind in followed
        )
        if chosen:
            found.append(StepLayer(layer, chosen, sum(parts[index].size for index in chosen)))
    return found


class StepTangent(LayerTangent):
    """Derivative of one layer's parts of the state, from `step` alone."""

    def __init__(self, step: Step, layer: StepLayer, inputs: Tensor, states: list[State]) -> None:
        self.step, self.parts, self.inputs, self.states = step, layer.parts, inputs, states
        self.layer, self.size = layer.layer, layer.size
        self.forward_mode = True

    def _own(self, state: State) -> Tensor:
        return torch.cat([state[index] for index in self.parts], -1)  # (b, size)

    def _repeated(self, t: int, rows: slice, repeats: int) -> tuple[Tensor, list[Tensor], Tensor]:
        x = torch.cat([self.inputs[t, rows]] * repeats)
        state = [torch.cat([part[rows]] * repeats).detach() for part in self.states[t]]
        own = self._own(tuple(state))
        return x, state, own

    def _step(self, x: Tensor, state: list[Tensor], own: Tensor) -> Tensor:
        sizes = [state[index].shape[-1] for index in self.parts]
        for index, part in zip(self.parts, own.split(sizes, -1), strict=True):
            state[index] = part.clone()  # a step may work in place
        return self._own(tuple(self.step(x, tuple(state))))

    def chunk(self, sequences: int) -> int:
        """Rows or columns taken at a time."""
        state = self.states[0]
        width = sum(part.shape[-1] for part in state) * state[0].element_size()
        return max(1, min(self.size, BUDGET // (width * sequences)))

    def block(self, t: int, rows: slice) -> Tensor:
        """Reverse mode: (b, size, size), one chunk of rows at a time."""
        sequences = self.states[t][0][rows].shape[0]
        n, chunk = self.size, self.chunk(sequences)
        block = self.states[t][0].new_empty(sequences, n, n)
        for first in range(0, n, chunk):
            count = min(chunk, n - first)
            x, state, own = self._repeated(t, rows, count)
            own.requires_grad_()
            with torch.enable_grad():
                out = self._step(x, state, own)  # (count·b, n)
            cotangent = torch.zeros_like(out).view(count, sequences, n)
            index = torch.arange(count, device=out.device)
            cotangent[index, :, first + index] = 1
            if out.requires_grad:
                (grad,) = torch.autograd.grad(
                    out, own, cotangent.view_as(out), allow_unused=True, materialize_grads=True
                )
            else:  # a step that does not look at this state
                grad = torch.zeros_like(own)
            block[:, first : first + count] = grad.view(count, sequences, n).transpose(0, 1)
        return block

    def product(self, t: int, rows: slice, Q: Tensor) -> Tensor:
        """Forward mode where Q (b, size, k) is narrow enough and `step` supports it."""
        if FORWARD_COST * Q.shape[-1] < self.size and self.forward_mode:
            try:
                return self._push(t, rows, Q)
            except (NotImplementedError, RuntimeError):
                self.forward_mode = False  # an operator without a forward formula
        return self.block(t, rows) @ Q

    def _push(self, t: int, rows: slice, Q: Tensor) -> Tensor:
        sequences, n, _ = Q.shape
        chunk, pushed = self.chunk(sequences), []
        for columns in Q.split(chunk, -1):  # (b, n, count)
            count = columns.shape[-1]
            x, state, own = self._repeated(t, rows, count)
            with forward_ad.dual_level():
                dual = forward_ad.make_dual(own, columns.permute(2, 0, 1).reshape_as(own))
                tangent = forward_ad.unpack_dual(self._step(x, state, dual)).tangent
            tangent = torch.zeros_like(own) if tangent is None else tangent
            pushed.append(tangent.reshape(count, sequences, n).permute(1, 2, 0))
        return torch.cat(pushed, -1)


def load_forward_mode() -> None:
    """Load torch's forward-mode rules, which warn when they load, before any worker thread does."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.ones(1))


def step_tangent(
    step: Step, layers: Sequence[StepLayer], inputs: Tensor, state: State
) -> tuple[list[LayerTangent], State]:
    """Run `step` over inputs (T, B, …) and return a tangent for each layer and the last state."""
    states = [state]
    for x_t in inputs:
        states.append(checked_step(step, x_t, states[-1]))
    return [StepTangent(step, layer, inputs, states) for layer in layers], states[-1]


def checked_step(step: Step, x_t: Tensor, state: State) -> State:
    """Take one step; raises SpectrumError unless the new state has the old one's shapes."""
    new = step(x_t.clone(), tuple(part.clone() for part in state))  # a step may work in place
    shapes = [tuple(part.shape) for part in state]
    got = [tuple(part.shape) for part in new]
    if got != shapes:
        raise SpectrumError(
            f"step must return a state of the shapes it was given, {shapes}; it returned {got}"
        )
    return tuple(part.detach().double() for part in new)


def check_stack(step: Step, layers: Sequence[StepLayer], x_t: Tensor, state: State) -> None:
    """Raise SpectrumError if a lower layer looks at an upper one: its blocks would not decouple."""
    for below, above in itertools.pairwise(layers):
        leaves = [part.detach().requires_grad_() for part in state]
        with torch.enable_grad():
            new = step(x_t, tuple(leaf.clone() for leaf in leaves))
            lower = [i for layer in layers if layer.layer <= below.layer for i in layer.parts]
            seen = sum(new[index].sum() for index in lower)
        if not isinstance(seen, Tensor) or not seen.requires_grad:
            continue
        upper = [leaves[i] for layer in layers if layer.layer >= above.layer for i in layer.parts]
        grads = torch.autograd.grad(seen, upper, allow_unused=True, materialize_grads=True)
        if any(bool(grad.any()) for grad in grads):
            raise SpectrumError(
                f"layer {below.layer} depends on the previous state of layer {above.layer}: "
                "declare both as one layer in state_parts"
            )


def check_windows(step: Step, parts: Sequence[StatePart], x_t: Tensor, state: State) -> None:
    """Raise SpectrumError where a window depends on what its layer carries: it would not decouple."""
    for index, window in enumerate(parts):
        if window.kind != "window":
            continue
        own = [
            i
            for i, part in enumerate(parts)
            if part.layer >= window.layer and part.kind != "window"
        ]
        leaves = [part.detach().requires_grad_() for part in state]
        with torch.enable_grad():
            seen = step(x_t, tuple(leaf.clone() for leaf in leaves))[index].sum()
        if not seen.requires_grad:
            continue
        given = [leaves[i] for i in own]
        grads = torch.autograd.grad(seen, given, allow_unused=True, materialize_grads=True)
        if any(bool(grad.any()) for grad in grads):
            raise SpectrumError(
                f"part {index} of the state is declared a window of layer {window.layer}'s inputs, and "
                "depends on what that layer carries: declare it a memory in state_parts"
            )
