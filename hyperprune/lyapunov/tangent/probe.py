"""What automatic differentiation silently gets wrong about a `step`, found out on one step.

A step that leaves the graph (`no_grad`, `detach`, NumPy) has a derivative of 0 there, which looks like
a dead network; one that mixes sequences has derivatives that are not those of each sequence. So the
step is held against itself and against finite differences before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hyperprune.errors import SpectrumError
from hyperprune.model import State

Step = Callable[[Tensor, State], State]

PROBES = 8
"""Random directions of the new state that are looked along."""
WIDTHS = (1e-4, 1e-5)
"""Of finite differences: only where both agree are they believed."""
AGREE, DIFFER = 1e-2, 3e-2


def check_step(step: Step, x_t: Tensor, state: State) -> None:
    """Raise SpectrumError for a step whose derivative automatic differentiation cannot have."""
    draw = torch.Generator().manual_seed(0)
    # Not at the state itself, which is 0 more often than not, and special.
    start = tuple(part + 0.01 * _normal(part, draw) for part in state)
    once, again = _joined(step(x_t, _copies(start))), _joined(step(x_t, _copies(start)))
    if not torch.equal(once, again) and not (once.isnan() & again.isnan()).any():
        raise SpectrumError(
            "step is not deterministic: the same state went to two places; take noise and dropout out"
        )
    _check_sequences(step, x_t, start, once)
    towards = tuple(_normal(part, draw) for part in start)
    narrow, wide = (_difference(step, x_t, start, towards, width) for width in WIDTHS)
    if not bool(narrow.isfinite().all() & wide.isfinite().all()):
        return  # the engine says where it is not finite
    probes = [_normal(once, draw) for _ in range(PROBES)]
    measured = torch.stack([(probe * wide).sum(-1) for probe in probes])  # (PROBES, B)
    other = torch.stack([(probe * narrow).sum(-1) for probe in probes])
    size = measured.norm()
    if (measured - other).norm() > AGREE * size:
        return  # a kink, or a step in fewer digits: finite differences say nothing
    found = torch.stack(_pulled(step, x_t, start, towards, probes))
    if (found - measured).norm() > DIFFER * size:
        raise SpectrumError(
            "automatic differentiation does not see all of step: along a random direction it finds "
            f"{float(found.norm()):.3g} where finite differences find {float(size):.3g}; does step "
            "run under torch.no_grad, detach, or leave torch (NumPy, .item(), .data)?"
        )


def _check_sequences(step: Step, x_t: Tensor, start: State, once: Tensor) -> None:
    """Moving the first sequence must leave the others where they were."""
    if len(once) < 2:
        return
    moved = _copies(start)
    for part in moved:
        part[0] += 0.1
    rest = _joined(step(x_t, moved))[1:] - once[1:]
    if bool((rest.abs() > 1e-6 * (1 + once[1:].abs())).any()):
        raise SpectrumError(
            "step mixes sequences: moving the state of one moves another's; a spectrum needs each "
            "sequence (the first dimension of the state) to go its own way"
        )


def _difference(step: Step, x_t: Tensor, start: State, towards: State, width: float) -> Tensor:
    """(F(s + εv) − F(s − εv)) / 2ε: (B, n)."""
    ends = []
    for sign in (1, -1):
        pairs = zip(start, towards, strict=True)
        ends.append(_joined(step(x_t, tuple(part + sign * width * v for part, v in pairs))))
    return (ends[0] - ends[1]) / (2 * width)


def _pulled(
    step: Step, x_t: Tensor, start: State, towards: State, probes: list[Tensor]
) -> list[Tensor]:
    """wᵀ J v of each sequence (B,), for each probe w, by automatic differentiation."""
    leaves = [part.detach().requires_grad_() for part in start]
    with torch.enable_grad():
        out = _joined(step(x_t, tuple(leaf.clone() for leaf in leaves)))
    if not out.requires_grad:
        return [torch.zeros_like(probe[:, 0]) for probe in probes]
    found = []
    for probe in probes:
        grads = torch.autograd.grad(
            out,
            leaves,
            probe.to(out),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        found.append(sum((g * v).sum(-1) for g, v in zip(grads, towards, strict=True)))
    return found  # type: ignore[return-value]


def _normal(like: Tensor, draw: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=draw, dtype=like.dtype).to(like.device)


def _joined(state: State) -> Tensor:
    return torch.cat([part.double() for part in state], -1)


def _copies(state: State) -> State:
    return tuple(part.clone() for part in state)
