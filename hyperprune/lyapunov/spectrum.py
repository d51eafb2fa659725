"""Lyapunov spectra of driven recurrent networks: protocols, convergence and bookkeeping."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, TypeAlias, get_args

import torch
from torch import Tensor, nn

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import autodiff
from hyperprune.lyapunov.push import Frames, torch_threads
from hyperprune.lyapunov.record import LyapunovSpectrum, Protocol, mean_and_error
from hyperprune.lyapunov.tangent import SEGMENT, LayerTangent, StateKind
from hyperprune.model import State, StatePart

BURN_IN = 10
"""Steps that let state and frame settle before any is counted."""
PUBLISHED_STEPS = 35
"""The segment that the published protocol counts."""
SMALL = 384
"""Up to this width one thread runs the network: others of torch's would go on spinning after each step
for a while, on the cores that push the frames (measured)."""
CHECK_EVERY = 10
"""Counted steps between two checks of a tolerance."""
FLOORS = {torch.float64: 1e-12, torch.float32: 1e-9}
"""Smallest R_ii that counts; smaller ones are rounding noise, raised to it and counted."""

Part: TypeAlias = tuple[int, Tensor]
"""Steps, and the sum over them of ln R_t,ii (B, n)."""
Trace = Callable[[Tensor, State], tuple[Sequence[LayerTangent], State]]


def lyapunov_spectrum(
    model: Any,
    inputs: Tensor,
    *,
    state: State | Tensor | None = None,
    state_kind: StateKind = "full",
    k: int | None = None,
    burn_in: int | None = None,
    steps: int | None = None,
    protocol: Protocol = "standard",
    dtype: torch.dtype | None = None,
    tolerance: float | None = None,
) -> LyapunovSpectrum:
    """Measure the Lyapunov exponents of a recurrent network along driven sequences.

    λ_i = (1/T) Σ_t ln R_t,ii with Q_t R_t = qr(J_t Q_{t−1}), Q_0 = I, J_t = ∂s_t/∂s_{t−1} (Benettin
    et al. 1980; Vogt et al. 2022), at every step, for each layer of a stack and each sequence.

    model: anything with `initial_state(batch)` and `step(x_t, state) -> state`; a module is
        measured in evaluation mode, on a float64 copy. `state_parts` names layers and memories;
        without it all of the state is one layer. See `hyperprune.lyapunov.tangent` for `tangent`.
    inputs: token ids (T, B) or embedded inputs (T, B, E), the same for all spectra to be compared.
    state: before the first input; `initial_state(B)` unless given.
    state_kind: "full" is all that the recurrence carries; "hidden" leaves memories (an LSTM's c)
        carried but held fixed in the derivative. They are different objects.
    k: leading columns to follow in each layer, and exponents to keep: all unless given.
    burn_in: steps before the counted ones (10); steps: counted steps, all that remain unless given.
    protocol: "published" repeats Zheng & Shlizerman (arXiv 2506.07975): hidden state, transposed
        Jacobian, burn-in on the first inputs, which are then replayed and counted (35), bits.
    dtype: of the linear algebra: torch.float64, or float32, which takes half the memory and on
        trained networks stays within 5e-3 (5e-4 rms), the most contracting exponents worst.
    tolerance: stop when standard error and drift of every exponent lie below it at two checks in a
        row, a check every 10 counted steps.

    Raises SpectrumError for input that has no spectrum, saying what is wrong.
    """
    dtype = torch.float64 if dtype is None else dtype
    burn_in = BURN_IN if burn_in is None else burn_in
    _check_choices(state_kind, protocol, dtype, burn_in, steps, k, tolerance)
    inputs = _driven(inputs, burn_in, steps, protocol)  # (burn_in + T, B, …)
    batch, cores = inputs.shape[1], torch.get_num_threads()
    with torch.no_grad(), ExitStack() as stack:
        model = _evaluation_copy(model)
        if inputs.is_floating_point():
            inputs = inputs.to(torch.float64)
        state = _state(model, state, batch)
        if max(part.shape[-1] for part in state) <= SMALL:
            stack.enter_context(torch_threads(1))
        trace = _tracer(model, inputs, state, state_kind)
        if k is not None and not hasattr(model, "tangent"):
            autodiff.load_forward_mode()
        frames: Frames | None = None
        counted: list[Part] = []
        floor, floored, checks = FLOORS[dtype], 0, 0
        for segment, settle in _segments(len(inputs), burn_in, tolerance):
            tangents: Sequence[LayerTangent] = ()  # the last segment's go before new ones come
            tangents, state = trace(inputs[segment], state)
            if not all(bool(part.isfinite().all()) for part in state):
                raise SpectrumError(
                    f"the state is not finite after step {segment.stop}: weights or inputs hold NaN "
                    "or infinity, or the network diverges"
                )
            if frames is None:
                sizes = [tangent.size for tangent in tangents]
                transpose = protocol == "published"
                frames = stack.enter_context(
                    Frames(
                        sizes,
                        k,
                        batch,
                        dtype,
                        state[0].device,
                        floor,
                        transpose=transpose,
                        cores=cores,
                    )
                )
            logs, raised = frames.push(tangents, segment.stop - segment.start, settle=settle)
            if not bool(logs.isfinite().all()):
                raise SpectrumError(f"the derivative is not finite before step {segment.stop}")
            if segment.start < burn_in:
                continue
            counted.append((segment.stop - segment.start, logs.to("cpu", torch.float64)))
            floored += int(raised)
            if tolerance is not None and (segment.stop - burn_in) % CHECK_EVERY == 0:
                checks = checks + 1 if _converged(counted, tolerance) else 0
                if checks == 2:
                    break
    assert frames is not None
    layers = torch.tensor(
        [t.layer for t, c in zip(tangents, frames.columns, strict=True) for _ in range(c)]
    )
    if protocol == "published":
        counted = [(steps, logs / math.log(2)) for steps, logs in counted]
        order = torch.arange(len(layers))[:k]
    else:
        order = means(counted).mean(0).argsort(descending=True, stable=True)[:k]
    per_sequence = means(counted)[:, order]
    mean, error = mean_and_error(per_sequence)
    return LyapunovSpectrum(
        exponents=mean,
        standard_error=error,
        drift=drift(counted)[order],
        per_sequence=per_sequence,
        layers=layers[order],
        steps=sum(steps for steps, _ in counted),
        burn_in=burn_in,
        floored=floored,
        floor=floor,
        state_kind=state_kind,
        protocol=protocol,
        dtype=str(dtype).removeprefix("torch."),
    )


def means(counted: Sequence[Part]) -> Tensor:
    """Means over the steps of all parts: (B, n)."""
    return torch.stack([logs for _, logs in counted]).sum(0) / sum(steps for steps, _ in counted)


def drift(counted: Sequence[Part]) -> Tensor:
    """Half the absolute difference of the means of the first and second half of the steps: (n,).

    A part must end where the first half does.
    """
    half, done, first = sum(steps for steps, _ in counted) // 2, 0, 0
    while done < half:
        done += counted[first][0]
        first += 1
    if first == 0:
        return torch.full_like(counted[0][1][0], torch.nan)
    assert done == half
    return (means(counted[:first]) - means(counted[first:])).mean(0).abs() / 2


def _converged(counted: Sequence[Part], tolerance: float) -> bool:
    """Whether both error estimates of every exponent lie under the tolerance."""
    worst, per_sequence = drift(counted).max(), means(counted)
    if len(per_sequence) > 1:
        worst = torch.maximum(worst, mean_and_error(per_sequence)[1].max())
    return bool(worst < tolerance)


def _segments(length: int, burn_in: int, tolerance: float | None) -> Iterator[tuple[slice, bool]]:
    """Cut all steps into pieces that bound memory; after some of them a sum must be settled.

    That is at burn-in's end, at the half of what is counted, and at the end: with a tolerance, of
    whatever is counted at a check.
    """
    cuts = {0, burn_in, burn_in + (length - burn_in) // 2, length}
    if tolerance is not None:
        cuts |= set(range(burn_in, length, CHECK_EVERY // 2))
    for start, stop in itertools.pairwise(sorted(cuts)):
        for first in range(start, stop, SEGMENT):
            last = min(first + SEGMENT, stop)
            yield slice(first, last), last == stop


def _driven(inputs: Tensor, burn_in: int, steps: int | None, protocol: Protocol) -> Tensor:
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


def _check_choices(
    state_kind: str,
    protocol: str,
    dtype: torch.dtype,
    burn_in: int,
    steps: int | None,
    k: int | None,
    tolerance: float | None,
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


def _evaluation_copy(model: Any) -> Any:
    """The model in evaluation mode and float64, leaving the caller's own untouched."""
    if not isinstance(model, nn.Module):
        return model
    for name, parameter in model.named_parameters():
        if not bool(parameter.isfinite().all()):
            raise SpectrumError(f"parameter {name!r} holds NaN or infinity")
    # Copied as float64, not copied and then converted.
    kept = (*model.parameters(), *model.buffers())
    memo: dict[int, Any] = {id(own): _double(own) for own in kept}
    return copy.deepcopy(model, memo).requires_grad_(False).double().eval()


def _double(own: Tensor) -> Tensor:
    """A copy of a parameter or buffer, floating ones as float64."""
    dtype = torch.float64 if own.is_floating_point() else own.dtype
    new = own.detach().to(dtype, copy=True)
    return nn.Parameter(new, requires_grad=False) if isinstance(own, nn.Parameter) else new


def _state(model: Any, state: State | Tensor | None, batch: int) -> State:
    """The initial state as a tuple of float64 tensors (B, n_i)."""
    state = model.initial_state(batch) if state is None else state
    parts = (state,) if isinstance(state, Tensor) else tuple(state)
    for part in parts:
        if part.dim() != 2 or part.shape[0] != batch:
            raise SpectrumError(
                f"every tensor of the state must be (B, n) with B = {batch}, not {tuple(part.shape)}"
            )
    return tuple(part.detach().double() for part in parts)


def _tracer(model: Any, inputs: Tensor, state: State, kind: StateKind) -> Trace:
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
    single = not isinstance(model.initial_state(1), tuple)

    def step(x_t: Tensor, state: State) -> State:
        new = model.step(x_t, state[0] if single else state)
        return (new,) if isinstance(new, Tensor) else tuple(new)

    layers = autodiff.step_layers(declared, kind)
    autodiff.checked_step(step, inputs[0], state)
    autodiff.check_stack(step, layers, inputs[0], state)
    return lambda inputs, state: autodiff.step_tangent(step, layers, inputs, state)
