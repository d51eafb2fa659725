"""Lyapunov spectra of driven recurrent networks: protocols, convergence and bookkeeping."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov.arguments import (
    check_choices,
    driven,
    evaluation_copy,
    flat_state,
    tracer,
)
from hyperprune.lyapunov.autonomous import no_inputs
from hyperprune.lyapunov.convergence import (
    Part,
    block_ends,
    block_error,
    drift,
    means,
    running_means,
)
from hyperprune.lyapunov.module import is_plain, recorded
from hyperprune.lyapunov.qr.frame import FLOORS
from hyperprune.lyapunov.qr.parallel import Frames
from hyperprune.lyapunov.record import LyapunovSpectrum, Protocol, mean_and_error
from hyperprune.lyapunov.resolution import resolution_of, weights_dtype
from hyperprune.lyapunov.tangent import SEGMENT, LayerTangent, Scaled, StateKind, autodiff
from hyperprune.model import State
from hyperprune.runtime.threads import torch_threads

BURN_IN = 10
"""Steps that let state and frame settle before any is counted."""
SMALL = 384
"""Up to this width one thread runs the network: others of torch's would go on spinning after each step
for a while, on the cores that push the frames (measured)."""
CHECK_EVERY = 10
"""Counted steps between two checks of a tolerance."""


def lyapunov_spectrum(
    model: Any,
    inputs: Any = None,
    *,
    state: State | Tensor | None = None,
    state_kind: StateKind = "full",
    k: int | None = None,
    burn_in: int | None = None,
    steps: int | None = None,
    protocol: Protocol = "standard",
    dtype: torch.dtype | None = None,
    tolerance: float | None = None,
    resolution: float | None = None,
    dt: float = 1.0,
    history: bool = False,
) -> LyapunovSpectrum:
    """Measure the Lyapunov exponents of a recurrent network along driven sequences.

    λ_i = (1/T) Σ_t ln R_t,ii with Q_t R_t = qr(J_t Q_{t−1}), Q_0 = I, J_t = ∂s_t/∂s_{t−1} (Benettin
    et al. 1980; Vogt et al. 2022), at every step, for each layer of a stack and each sequence.

    model: anything with `initial_state(batch)` and `step(x_t, state) -> state`; a module is
        measured in evaluation mode, on a float64 copy. `state_parts` names layers and memories;
        without it all of the state is one layer. See `hyperprune.lyapunov.tangent` for `tangent`.
        Or any module without these two whose recurrence is in `nn.LSTM`, `nn.GRU`, `nn.RNN` or their cells:
        it is run once on `inputs`, and its layers are named after these modules (`layer_names`).
    inputs: token ids (T, B) or embedded inputs (T, B, E), the same for all spectra to be compared; of a
        module without `step` whatever its forward takes: a tensor, or a tuple or mapping of arguments.
        None for a system that nothing drives: `step(state) -> state` or a plain function of a state,
        and `steps` says for how long.
    state: before the first input; `initial_state(B)` unless given.
    state_kind: "full" is all that the recurrence carries; "hidden" leaves memories (an LSTM's c)
        carried but held fixed in the derivative. They are different objects.
    k: leading columns to follow in each layer, and the largest exponents to keep: all unless given.
    burn_in: steps before the counted ones (10); steps: counted steps, all that remain unless given.
    protocol: "published" repeats Zheng & Shlizerman (arXiv 2506.07975): hidden state, transposed
        Jacobian, burn-in on the first inputs, which are then replayed and counted (35), bits.
    dtype: of the linear algebra: torch.float64, or float32, which takes half the memory and on
        trained networks stays within 5e-3 (5e-4 rms), the most contracting exponents worst.
    tolerance: stop when standard error and drift of every exponent that is kept lie below it, in the
        spectrum's unit, at two checks in a row, a check every 10 counted steps.
    resolution: nats a step at and below which a direction counts as lost: that of the weights'
        precision (−8 for float32), none for protocol "published", unless given.
    dt: time that a step takes; exponents, errors and resolution are then per unit of time.
    history: keep how the means settled, after each of up to 32 blocks of steps; not with a tolerance.

    Raises SpectrumError for input that has no spectrum, saying what is wrong.
    """
    dtype = torch.float64 if dtype is None else dtype
    weights = weights_dtype(model)
    burn_in = BURN_IN if burn_in is None else burn_in
    check_choices(state_kind, protocol, dtype, burn_in, steps, k, tolerance, resolution, dt)
    if history and tolerance is not None:
        raise SpectrumError(
            "history needs a number of steps that is known, to cut it into blocks, and a tolerance stops at "
            "any: leave one of them out"
        )
    unit = dt * (math.log(2) if protocol == "published" else 1.0)  # of the spectrum, in nats a step
    names: tuple[str, ...] = ()
    if inputs is not None and is_plain(model):
        if state is not None:
            raise SpectrumError(
                "a module without step starts from what its forward is given: leave state out, or pass it "
                "among the inputs"
            )
        model = recorded(model, inputs)
        inputs, names = model.inputs, model.layer_names
        if protocol == "published" and model.modules > 1:
            raise SpectrumError(
                'protocol "published" replays its inputs from a warmed state, and what drives an upper '
                "module was written down from the first: give the network a step"
            )
    else:
        model = evaluation_copy(model)
    if inputs is None:
        model, inputs = no_inputs(model, state, burn_in, steps)
    inputs = driven(inputs, burn_in, steps, protocol)  # (burn_in + T, B, …)
    batch, cores = inputs.shape[1], torch.get_num_threads()
    with torch.no_grad(), ExitStack() as stack:
        if inputs.is_floating_point():
            inputs = inputs.to(torch.float64)
        state = flat_state(model, state, batch)
        if max(part.shape[-1] for part in state) <= SMALL:
            stack.enter_context(torch_threads(1))
        trace = tracer(model, inputs, state, state_kind)
        if k is not None and not hasattr(model, "tangent"):
            autodiff.load_forward_mode()
        frames: Frames | None = None
        counted: list[Part] = []
        ends = block_ends(len(inputs) - burn_in, wanted=history) if tolerance is None else []
        total: Tensor = torch.zeros((), dtype=torch.float64)
        sums: dict[int, Tensor] = {}  # over the counted steps until the end of each block
        floor, floored, checks = FLOORS[dtype], 0, 0
        for pieces in _segments(len(inputs), burn_in, tolerance, ends):
            start, stop = pieces[0].start, pieces[-1].stop
            tangents: Sequence[LayerTangent] = ()  # the last segment's go before new ones come
            tangents, state = trace(inputs[start:stop], state)
            if not all(bool(part.isfinite().all()) for part in state):
                raise SpectrumError(
                    f"the state is not finite after step {stop}: weights or inputs hold NaN "
                    "or infinity, or the network diverges"
                )
            if frames is None:
                sizes = [tangent.size for tangent in tangents]
                transpose = protocol == "published"
                frames = Frames(
                    sizes,
                    k,
                    batch,
                    dtype,
                    state[0].device,
                    floor,
                    transpose=transpose,
                    cores=cores,
                    scaled=[i for i, t in enumerate(tangents) if isinstance(t, Scaled)],
                )
            parts = [(piece.stop - piece.start, piece.settle) for piece in pieces]
            for piece, (logs, raised) in zip(pieces, frames.push(tangents, parts), strict=True):
                if not bool(logs.isfinite().all()):
                    raise SpectrumError(f"the derivative is not finite before step {piece.stop}")
                if piece.start >= burn_in:
                    counted.append((piece.stop - piece.start, logs.to("cpu", torch.float64)))
                    floored += int(raised)
                    if ends:
                        total = total + counted[-1][1]
                        if piece.settle:
                            sums[piece.stop - burn_in] = total
            if tolerance is not None and counted and (stop - burn_in) % CHECK_EVERY == 0:
                checks = checks + 1 if _converged(counted, tolerance * unit, k) else 0
                if checks == 2:
                    break
    assert frames is not None
    layers = torch.tensor(
        [t.layer for t, c in zip(tangents, frames.columns, strict=True) for _ in range(c)]
    )
    order = _leading(counted, k)
    if protocol == "published":
        counted = [(steps, logs / math.log(2)) for steps, logs in counted]
        sums = {end: logs / math.log(2) for end, logs in sums.items()}
        order = order.sort().values
    per_sequence = means(counted)[:, order] / dt
    mean, error = mean_and_error(per_sequence)
    over_time, memory = torch.full_like(mean, torch.nan), torch.full_like(mean, torch.nan)
    settled = None
    if ends:
        running = running_means(sums, ends)[..., order] / dt  # (m, B, k)
        over_time, memory = block_error(running, ends)
        settled = running.mean(1) if history else None
    steps = sum(steps for steps, _ in counted)
    if resolution is None:
        resolution = -math.inf if protocol == "published" else resolution_of(weights, steps)
    resolution /= unit
    return LyapunovSpectrum(
        exponents=mean,
        standard_error=error,
        drift=drift(counted)[order] / dt,
        per_sequence=per_sequence,
        layers=layers[order],
        steps=steps,
        burn_in=burn_in,
        floored=floored,
        floor=floor,
        state_kind=state_kind,
        protocol=protocol,
        dtype=str(dtype).removeprefix("torch."),
        resolution=resolution,
        dt=dt,
        block_error=over_time,
        autocorrelation_time=memory * dt,
        history=settled,
        history_steps=tuple(ends) if history else (),
        layer_names=names,
    )


def _leading(counted: Sequence[Part], k: int | None) -> Tensor:
    """Places of the k largest exponents of all that were followed, largest first."""
    return means(counted).mean(0).argsort(descending=True, stable=True)[:k]


def _converged(counted: Sequence[Part], tolerance: float, k: int | None = None) -> bool:
    """Whether both error estimates of each of the k largest exponents lie under the tolerance, a step."""
    kept = _leading(counted, k)
    worst, per_sequence = drift(counted)[kept].max(), means(counted)[:, kept]
    if len(per_sequence) > 1:
        worst = torch.maximum(worst, mean_and_error(per_sequence)[1].max())
    return bool(worst < tolerance)


class Piece(NamedTuple):
    """Steps whose logs are summed, and whether the sum is settled after them."""

    start: int
    stop: int
    settle: bool


def _segments(
    length: int, burn_in: int, tolerance: float | None, ends: Sequence[int] = ()
) -> Iterator[list[Piece]]:
    """Cut all steps into segments that bound memory, and those where a sum must be settled.

    That is at burn-in's end, at the half of what is counted, at the end of each block of counted steps,
    and at the end: with a tolerance, of whatever is counted at a check, and a segment ends there.
    """
    cuts = {0, burn_in, burn_in + (length - burn_in) // 2, length}
    cuts |= {burn_in + end for end in ends}
    if tolerance is not None:
        cuts |= set(range(burn_in, length, CHECK_EVERY // 2))
    segment: list[Piece] = []
    for start, stop in itertools.pairwise(sorted(cuts)):
        for first in range(start, stop, SEGMENT):
            piece = Piece(first, last := min(first + SEGMENT, stop), last == stop)
            if segment and (tolerance is not None or last - segment[0].start > SEGMENT):
                yield segment
                segment = []
            segment.append(piece)
    yield segment
