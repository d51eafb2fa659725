"""A slow, independent Lyapunov spectrum: explicit Jacobians of the whole network, QR each step.

Nothing here is shared with the engine: no layers decoupled, no gates combined, no reflectors kept.
"""

import math

import torch
from torch import Tensor, nn

from hyperprune.model import State


def jacobian(model: nn.Module, x_t: Tensor, state: State, chosen: list[int]) -> Tensor:
    """Derivative of the chosen state parts, in the order given, of one sequence: (n, n)."""

    def move(own: Tensor) -> Tensor:
        parts = list(state)
        sizes = [state[index].shape[-1] for index in chosen]
        for index, part in zip(chosen, own.split(sizes), strict=True):
            parts[index] = part[None]
        new = model.step(x_t, tuple(parts))
        return torch.cat([new[index][0] for index in chosen])

    own = torch.cat([state[index][0] for index in chosen])
    return torch.autograd.functional.jacobian(move, own, vectorize=True)


def oracle_logs(
    model: nn.Module, inputs: Tensor, kind: str, *, last_layer_first: bool, transpose: bool
) -> tuple[Tensor, list[int]]:
    """ln R_ii of every step (T, n) for inputs (T, 1), from the zero state; the layer of each i."""
    layers = sorted({part.layer for part in model.state_parts}, reverse=last_layer_first)
    chosen = [
        index
        for layer in layers
        for index, part in enumerate(model.state_parts)
        if part.layer == layer and (kind == "full" or part.kind == "hidden")
    ]
    owners = [
        model.state_parts[index].layer
        for index in chosen
        for _ in range(model.state_parts[index].size)
    ]
    state = model.initial_state(1)
    Q = torch.eye(len(owners), dtype=torch.float64)
    logs = []
    for x_t in inputs:
        J = jacobian(model, x_t, state, chosen)
        Q, R = torch.linalg.qr((J.T if transpose else J) @ Q)
        Q = Q * R.diagonal().sign()  # positive diagonal
        logs.append(R.diagonal().abs().log())
        with torch.no_grad():
            state = model.step(x_t, state)
    return torch.stack(logs), owners


def oracle_standard(
    model: nn.Module, inputs: Tensor, kind: str, burn_in: int
) -> tuple[Tensor, Tensor]:
    """Exponents per sequence (B, n) by the definition, and their layers (n,)."""
    rows = []
    for b in range(inputs.shape[1]):
        logs, owners = oracle_logs(
            model, inputs[:, b : b + 1], kind, last_layer_first=True, transpose=False
        )
        rows.append(logs[burn_in:].mean(0))
    return torch.stack(rows), torch.tensor(owners)


def oracle_published(model: nn.Module, inputs: Tensor) -> Tensor:
    """Exponents per sequence (B, n) of the published protocol, in bits and in its order."""
    rows = []
    for b in range(inputs.shape[1]):
        x = inputs[:, b : b + 1]
        replayed = torch.cat([x[:10], x[:35]])
        logs, _ = oracle_logs(model, replayed, "hidden", last_layer_first=False, transpose=True)
        rows.append(logs[10:].mean(0) / math.log(2))
    return torch.stack(rows)
