"""Spectra of modules that offer no `step`, where the recurrence is in torch's own recurrent modules.

The module is run once on its inputs, and what each recurrent module in it was given is written down.
Along that course, what drives a recurrent module is no function of its own earlier states, so the whole
Jacobian is block triangular and the layers' own blocks have the spectrum (method, section 8). Where that
is not so, or cannot be seen to be so, the module is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov.arguments import attached, evaluation_copy
from hyperprune.lyapunov.tangent import LayerTangent, StateKind
from hyperprune.lyapunov.tangent.torch_layers import CELLS, OVER_TIME, RECURRENT, Layer, layers_of
from hyperprune.model import State, unwrapped

STEP = "give it step(x_t, state) and initial_state(batch)"
CHECKED_STEPS = 16
"""Leading steps over which a module's outputs are held against the layers'."""


def is_plain(model: Any) -> bool:
    """Whether a spectrum must come from the recurrent modules inside, for want of a `step`.

    A `step` without `initial_state` is something else: a counter, or a training step.
    """
    own = (getattr(model, name, None) for name in ("step", "initial_state"))
    return isinstance(model, nn.Module) and not all(map(callable, own))


class RecordedModule:
    """The recurrent layers of a module along one course: a model with an analytic tangent."""

    def __init__(self, calls: Sequence[_Calls]) -> None:
        self.modules = len(calls)
        self._layers = [call.layers for call in calls]
        self._widths = [call.driven.shape[-1] for call in calls]
        self._state = tuple(part for call in calls for part in call.start)
        self.layer_names = tuple(layer.name for call in calls for layer in call.layers)
        self.inputs = torch.cat([call.driven for call in calls], -1)  # (T, B, ΣE)

    def initial_state(self, batch: int) -> State:
        """What the module itself started from: given by its forward, or zero."""
        return self._state

    def tangent(
        self, inputs: Tensor, state: State, kind: StateKind
    ) -> tuple[list[LayerTangent], State]:
        """Derivative of every layer, driven by what was written down: inputs (T, B, ΣE)."""
        tangents: list[LayerTangent] = []
        new: list[Tensor] = []
        for layers, x in zip(self._layers, inputs.split(self._widths, -1), strict=True):
            for layer in layers:
                own = state[len(new) : len(new) + len(layer.sizes)]
                x, carried, tangent = layer.run(len(tangents), x, *own, kind=kind)
                tangents.append(tangent)
                new += carried
        return tangents, tuple(new)


def recorded(model: nn.Module, inputs: Any) -> RecordedModule:
    """Run a module once on its inputs and return its recurrent layers as they were driven.

    inputs: whatever the module takes: a tensor or a packed sequence, or a tuple or mapping of arguments.
    A packed batch is followed for as long as its shortest sequence lasts.

    Raises SpectrumError where the recurrence is not in torch's modules, or not only there.
    """
    model = unwrapped(model)
    own = {
        name: part
        for name, part in model.named_modules(remove_duplicate=True)
        if isinstance(part, RECURRENT)
    }
    what = type(model).__name__
    if not own:
        raise SpectrumError(
            f"{what} has no nn.LSTM, nn.GRU, nn.RNN or cell of these names in it, and no step and "
            f"initial_state of its own: {STEP}, and its derivative is found by automatic differentiation"
        )
    for name, part in own.items():
        if isinstance(part, OVER_TIME) and part.bidirectional:
            raise SpectrumError(
                f"{_named(name, part)} is bidirectional: one of its directions reads the sequence from its "
                "end, so that there is no one state that moves forward in time; measure a network of each "
                "direction by itself"
            )
    calls = _run(model, own, inputs, follow=False)
    if any(call.count > 1 for call in calls):
        calls = _run(model, own, inputs, follow=True)
        _check_feedback(calls)
    used = [call for call in calls if call.count]
    if not used:
        raise SpectrumError(f"{what} ran none of its recurrent modules: {', '.join(own)}")
    for call in used:
        call.finish()
    lengths = {call.name: tuple(call.driven.shape[:2]) for call in used}
    if len(set(lengths.values())) > 1:
        each = ", ".join(f"{name}: {T} × {B}" for name, (T, B) in lengths.items())
        raise SpectrumError(
            f"the recurrent modules of {what} saw different numbers of steps × sequences ({each}): "
            "measure each by itself, on what it is given"
        )
    _check_alike(used)
    return RecordedModule(used)


# ── one run, written down ────────────────────────────────────────────────────────────────────────


@dataclass
class _Calls:
    """All that one recurrent module was given and gave in a run, in the order of its first call."""

    name: str
    module: nn.Module
    layers: list[Layer] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)  # (T_i, B, E)
    outputs: list[Tensor] = field(default_factory=list)  # (T_i, B, H)
    seen: list[Tensor] = field(
        default_factory=list
    )  # inputs with their graphs, where these are followed
    start: State = ()
    last: State = ()  # after the newest call, flat
    leaves: list[Tensor] = field(default_factory=list)
    batch_first: bool = False

    @property
    def count(self) -> int:
        return len(self.inputs)

    @property
    def driven(self) -> Tensor:
        return self.inputs[0]

    def finish(self) -> None:
        """Join what many calls saw."""
        self.inputs, self.outputs = [torch.cat(self.inputs)], [torch.cat(self.outputs)]

    def take(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, follow: bool
    ) -> Any:
        """Write one call down; returns what the module is to hand on in the result's place."""
        x = args[0] if args else kwargs["input"]
        hx = args[1] if len(args) > 1 else kwargs.get("hx")
        cell = isinstance(self.module, CELLS)
        output, carried = (None, result) if cell else result
        before, after = self._flat(hx), self._flat(carried)
        assert after is not None
        shown = self._over_time(output) if output is not None else after[0][None]
        driven = (x if x.dim() == 2 else x[None])[None] if cell else self._over_time(x)
        if before is None:
            before = tuple(torch.zeros_like(part) for part in after)
        if not self.inputs:
            self.start = before
            self.layers = layers_of(self.name, self.module)  # type: ignore[arg-type]
        elif isinstance(x, PackedSequence) or not _same(before, self.last):
            raise SpectrumError(
                f"call {self.count + 1} of {_named(self.name, self.module)} does not start from the state "
                f"that call {self.count} left: something resets or changes it between them, or the module "
                f"serves two purposes; {STEP}"
            )
        self.inputs.append(driven.detach().double())
        self.outputs.append(shown.detach().double())
        self.last = after
        if not follow:
            return None
        self.seen.append(x if isinstance(x, Tensor) else x.data)
        return self._cut(result)

    def _cut(self, result: Any) -> Any:
        """The same tensors as new leaves, which what comes later can be traced back to."""
        if isinstance(result, PackedSequence):
            return result._replace(data=self._cut(result.data))
        if isinstance(result, tuple):
            return tuple(self._cut(part) for part in result)
        leaf = result.detach().requires_grad_()
        self.leaves.append(leaf)
        return leaf.clone()  # which may be written to in place

    def _over_time(self, x: Tensor | PackedSequence) -> Tensor:
        """(T, B, E), of a packed batch as long as its shortest sequence."""
        if isinstance(x, PackedSequence):
            padded, lengths = pad_packed_sequence(x)
            return padded[: int(lengths.min())]
        if x.dim() == 2:
            return x[:, None]
        return x.transpose(0, 1) if getattr(self.module, "batch_first", False) else x

    def _flat(self, carried: Any) -> State | None:
        """A state as (B, n) tensors: h and c of each layer in turn."""
        if carried is None:
            return None
        parts = (carried,) if isinstance(carried, Tensor) else tuple(carried)
        detached = [part.detach().double() for part in parts]
        if isinstance(self.module, CELLS):
            return tuple(part if part.dim() == 2 else part[None] for part in detached)
        layered = [part if part.dim() == 3 else part[:, None] for part in detached]  # (L, B, n)
        return tuple(part for layer in zip(*layered, strict=True) for part in layer)


def _run(
    model: nn.Module, own: Mapping[str, nn.Module], inputs: Any, *, follow: bool
) -> list[_Calls]:
    """Run a copy in evaluation mode, in float64 where it can, and return its recurrent modules' calls."""
    double = evaluation_copy(model)
    try:
        return _watched(double, own, _double(inputs), follow)
    except SpectrumError:
        raise
    except Exception as error:
        if "type" not in str(error).lower():
            raise _failed(model, error) from error
    # It makes tensors of a precision of its own.
    memo: dict[int, Any] = {id(value): value.detach().clone() for value in attached(model)}
    single = copy.deepcopy(model, memo).eval().requires_grad_(False)
    try:
        return _watched(single, own, inputs, follow)
    except SpectrumError:
        raise
    except Exception as error:
        raise _failed(model, error) from error


def _failed(model: nn.Module, error: Exception) -> SpectrumError:
    said = str(error).partition("\n")[0]
    return SpectrumError(
        f"{type(model).__name__} failed on these inputs: {said or type(error).__name__}; inputs are what "
        "its forward takes: a tensor, or a tuple or mapping of its arguments"
    )


def _watched(
    model: nn.Module, own: Mapping[str, nn.Module], inputs: Any, follow: bool
) -> list[_Calls]:
    calls = {name: _Calls(name, model.get_submodule(name)) for name in own}
    order: list[_Calls] = []

    def hook(name: str) -> Any:
        def after(module: nn.Module, args: Any, kwargs: Any, result: Any) -> Any:
            if not calls[name].count:
                order.append(calls[name])
            return calls[name].take(args, kwargs, result, follow)

        return after

    handles = [
        call.module.register_forward_hook(hook(name), with_kwargs=True)
        for name, call in calls.items()
    ]
    # cuDNN asks for training mode where gradients are wanted; none is wanted through a recurrent module.
    try:
        with torch.set_grad_enabled(follow):
            if isinstance(inputs, Mapping):
                model(**inputs)
            elif isinstance(inputs, tuple | list) and not isinstance(inputs, PackedSequence):
                model(*inputs)
            else:
                model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return order + [call for call in calls.values() if not call.count]


def _double(inputs: Any) -> Any:
    """Inputs in float64, whatever holds them."""
    if isinstance(inputs, PackedSequence):
        return inputs.double() if inputs.data.is_floating_point() else inputs
    if isinstance(inputs, Tensor):
        return inputs.double() if inputs.is_floating_point() else inputs
    if isinstance(inputs, Mapping):
        return {name: _double(value) for name, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        parts = [_double(value) for value in inputs]
        return type(inputs)(*parts) if hasattr(inputs, "_fields") else type(inputs)(parts)
    return inputs


# ── what would make the layers' blocks the wrong answer ──────────────────────────────────────────


def _check_feedback(calls: Sequence[_Calls]) -> None:
    """Raise SpectrumError where a module's inputs come, by any way, from its own outputs."""
    owner = {id(leaf): call.name for call in calls for leaf in call.leaves}
    below = {
        call.name: {owner[id(leaf)] for leaf in _leaves(call.seen) if id(leaf) in owner}
        for call in calls
    }
    for call in calls:
        reached, ahead = set[str](), set(below[call.name])
        while ahead:
            name = ahead.pop()
            reached.add(name)
            ahead |= below[name] - reached
        if call.name in reached:
            raise SpectrumError(
                f"what {_named(call.name, call.module)} is given depends on what it returned before: the "
                f"loop around it is part of the recurrence, which its own derivative leaves out; {STEP}"
            )


def _leaves(roots: Sequence[Tensor]) -> list[Tensor]:
    """Leaves of the graphs that tensors hang on."""
    found: list[Tensor] = []
    ahead: list[Any] = [root.grad_fn for root in roots]
    visited = set()
    while ahead:
        node = ahead.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        ahead += [edge for edge, _ in node.next_functions]
    return found


def _check_alike(calls: Sequence[_Calls]) -> None:
    """Raise SpectrumError where a module (a subclass, a hook) gives other outputs than its layers do."""
    for call in calls:
        x, state = call.driven[:CHECKED_STEPS], list(call.start)
        with torch.no_grad():
            for layer in call.layers:
                own, state = state[: len(layer.sizes)], state[len(layer.sizes) :]
                x, _, _ = layer.run(0, x, *own, kind="hidden")
        theirs = call.outputs[0][:CHECKED_STEPS]
        precise = next(call.module.parameters()).dtype == torch.float64
        if not torch.allclose(x, theirs, rtol=0, atol=1e-8 if precise else 3e-2):
            off = float((x - theirs).abs().max())
            raise SpectrumError(
                f"{_named(call.name, call.module)} does not compute what torch's module of that name does "
                f"(outputs differ by {off:.2g}); {STEP}"
            )


def _same(state: State, other: State) -> bool:
    return len(state) == len(other) and all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(state, other, strict=True)
    )


def _named(name: str, module: nn.Module) -> str:
    return f"{name} ({type(module).__name__})" if name else f"the {type(module).__name__}"
