"""What a spectrum is measured from: arguments checked, the network copied, its derivative found."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov.qr.frame import FLOORS
from hyperprune.lyapunov.record import Protocol
from hyperprune.lyapunov.tangent import LayerTangent, StateKind, autodiff
from hyperprune.lyapunov.tangent.probe import check_step
from hyperprune.model import State, StatePart

PUBLISHED_STEPS = 35
"""The segment that the published protocol counts."""

REGISTERED = ("_parameters", "_buffers", "_modules")
"""Where a module keeps what it has registered."""

Trace = Callable[[Tensor, State], tuple[Sequence[LayerTangent], State]]


def driven(inputs: Tensor, burn_in: int, steps: int | None, protocol: Protocol) -> Tensor:
    """The inputs of burn-in and counted steps, in the order the network sees them."""
    if not isinstance(inputs, Tensor) or inputs.dim() not in (2, 3):
        found = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise SpectrumError(
            f"inputs must be token ids (T, B) or embedded inputs (T, B, E), not {found}"
        )
    if inputs.dim() == 3 and not inputs.is_floating_point():
        raise SpectrumError(f"inputs (T, B, E) must be floating point, not {inputs.dtype}")
    available = inputs.shape[0]
    if inputs.shape[1] == 0 or available == 0:
        raise SpectrumError(f"inputs are empty: {tuple(inputs.shape)}")
    if protocol == "published":
        steps = PUBLISHED_STEPS if steps is None else steps
        needed = max(steps, burn_in)
    else:
        steps = max(available - burn_in, 1) if steps is None else steps
        needed = burn_in + steps
    if available < needed:
        raise SpectrumError(
            f"the text is too short: {burn_in} burn-in and {steps} counted steps need {needed} inputs, "
            f"there are {available}"
        )
    if inputs.is_floating_point() and not bool(inputs[:needed].isfinite().all()):
        raise SpectrumError("inputs hold NaN or infinity")
    if protocol == "published":
        return torch.cat([inputs[:burn_in], inputs[:steps]])
    return inputs[:needed]


def check_choices(
    state_kind: str,
    protocol: str,
    dtype: torch.dtype,
    burn_in: int,
    steps: int | None,
    k: int | None,
    tolerance: float | None,
    resolution: float | None,
    dt: float,
) -> None:
    """Raise SpectrumError for an argument that no spectrum has."""
    for name, value, known in (
        ("state_kind", state_kind, get_args(StateKind)),
        ("protocol", protocol, get_args(Protocol)),
        ("dtype", dtype, tuple(FLOORS)),
    ):
        if value not in known:
            raise SpectrumError(
                f"{name} must be one of {', '.join(map(str, known))}, not {value!r}"
            )
    if protocol == "published" and state_kind != "hidden":
        raise SpectrumError('protocol "published" has state_kind "hidden" only')
    if burn_in < 0:
        raise SpectrumError(f"burn_in must not be negative, got {burn_in}")
    for name, count in (("steps", steps), ("k", k)):
        if count is not None and count < 1:
            raise SpectrumError(f"{name} must be at least 1, got {count}")
    if tolerance is not None and not tolerance > 0:
        raise SpectrumError(f"tolerance must be above 0, got {tolerance}")
    if not 0 < dt < float("inf"):
        raise SpectrumError(f"dt must be above 0, got {dt}")
    if resolution is not None and not resolution < 0:
        raise SpectrumError(f"resolution must be below 0 (−inf for none), got {resolution}")


def evaluation_copy(model: Any) -> Any:
    """The model in evaluation mode and float64, leaving the caller's own untouched."""
    if not isinstance(model, nn.Module):
        return model
    for name, parameter in model.named_parameters():
        # A finite sum shows that all is finite in a tenth of the time, the rest decides when it is not.
        if not (bool(parameter.sum().isfinite()) or bool(parameter.isfinite().all())):
            raise SpectrumError(f"parameter {name!r} holds NaN or infinity")
    # Copied as float64 without gradients, not copied and then converted.
    kept = (*model.parameters(), *model.buffers(), *attached(model))
    memo: dict[int, Any] = {id(own): _double(own) for own in kept}
    return copy.deepcopy(model, memo).eval()


def attached(model: nn.Module) -> Iterator[Tensor]:
    """Tensors with a graph that modules keep as attributes, which `copy.deepcopy` alone refuses.

    Such are weights that a norm computes, and hidden states of the last call.
    """
    for part in model.modules():
        own = {key: value for key, value in vars(part).items() if key not in REGISTERED}
        for value in tree_leaves(own):
            if isinstance(value, Tensor) and not value.is_leaf:
                yield value


def _double(own: Tensor) -> Tensor:
    """A copy of a parameter or buffer, floating ones as float64."""
    dtype = torch.float64 if own.is_floating_point() else own.dtype
    new = own.detach().to(dtype, copy=True)
    return nn.Parameter(new, requires_grad=False) if isinstance(own, nn.Parameter) else new


def flat_state(model: Any, state: State | Tensor | None, batch: int) -> State:
    """The initial state as a tuple of float64 tensors (B, n_i)."""
    state = model.initial_state(batch) if state is None else state
    if not isinstance(state, Tensor | tuple | list):
        raise SpectrumError(
            f"the state must be a tensor (B, n) or a tuple or list of them, not {type(state).__name__}"
        )
    parts = (state,) if isinstance(state, Tensor) else tuple(state)
    for part in parts:
        if not isinstance(part, Tensor):
            raise SpectrumError(
                f"the state must be a flat tuple of tensors (B, n_i); it holds a {type(part).__name__}"
            )
        if not part.is_floating_point():
            kind = (
                "split it into real and imaginary parts" if part.is_complex() else "make it float"
            )
            raise SpectrumError(
                f"the state must be real and floating point, not {part.dtype}: {kind}"
            )
        if part.dim() != 2 or part.shape[0] != batch:
            raise SpectrumError(
                f"every tensor of the state must be (B, n) with B = {batch}, not {tuple(part.shape)}"
            )
    return tuple(part.detach().double() for part in parts)


def first_step(model: Any, step: autodiff.Step, x_t: Tensor, state: State) -> None:
    """Take one step; raises SpectrumError that says why it cannot be taken."""
    try:
        autodiff.checked_step(step, x_t, state)
    except (RuntimeError, TypeError, AttributeError) as error:
        hint = ""
        if isinstance(error, RuntimeError) and "dtype" in str(error).lower():
            hint = (
                "; states are float64 here: a class that is no nn.Module must keep its weights as "
                "float64 itself"
            )
        said = str(error).partition("\n")[0]
        raise SpectrumError(f"step failed on a state it should take: {said}{hint}") from error


def tracer(model: Any, inputs: Tensor, state: State, kind: StateKind) -> Trace:
    """How the model's tangents are had: its own analytic ones, or autodiff of its step."""
    if hasattr(model, "tangent"):
        return lambda inputs, state: model.tangent(inputs, state, kind)
    declared = getattr(model, "state_parts", None)
    if declared is None:
        if kind == "hidden" and len(state) > 1:
            raise SpectrumError(
                'state_kind "hidden" needs the model to say which of its state tensors are memories: '
                "declare state_parts (see hyperprune.model.StatePart)"
            )
        declared = [StatePart(0, "hidden", part.shape[-1]) for part in state]
    sizes = [part.size for part in declared]
    if sizes != [part.shape[-1] for part in state]:
        raise SpectrumError(
            f"state_parts declare sizes {sizes}, the state has {[part.shape[-1] for part in state]}"
        )
    start = model.initial_state(1)
    single, listed = isinstance(start, Tensor), isinstance(start, list)

    def step(x_t: Tensor, state: State) -> State:
        new = model.step(x_t, state[0] if single else list(state) if listed else state)
        return (new,) if isinstance(new, Tensor) else tuple(new)

    layers = autodiff.step_layers(declared, kind)
    first_step(model, step, inputs[0], state)
    check_step(step, inputs[0], state)
    autodiff.check_stack(step, layers, inputs[0], state)
    autodiff.check_windows(step, declared, inputs[0], state)
    return lambda inputs, state: autodiff.step_tangent(step, layers, inputs, state)
