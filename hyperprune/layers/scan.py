"""Run a cell over time with a hand-written backward pass, where torch has no fused kernel.

Automatic differentiation of a loop adds up one weight gradient a step. Here the steps' gate
gradients are kept instead, and each weight's gradient is one large product after the loop. All steps
work in rooms made for all of them: what a small step costs is the number of calls, not arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

FEW = 10**7
"""Multiplications of a step up to which a CPU's float32 is as fast as its bfloat16, and up to eight times as
fast (measured on a Xeon with amx_bf16)."""

Saved: TypeAlias = tuple[Tensor, ...]


class Cell(Protocol):
    """The pointwise part of a recurrence: gate inputs z (B, G) and state to the next state.

    h (B, H) meets the recurrent weights; c is carried beside it, or None. `forward` defines a step.
    `advance` and `pull` are it and its gradient in place, on a step's views (see `by_step`) of rooms
    for N steps in turn.
    """

    def forward(
        self, z: Tensor, h: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Saved]:
        """Next h, next c, and what the derivative needs."""
        ...

    def room(self, z: Tensor, h: Tensor, c: Tensor | None) -> tuple[Saved, list[Saved]]:
        """What `forward` saves, for all steps, yet to be filled in, and each step's views.

        z (N, B, G); h and c (N + 1, B, H), the first being the states before all steps.
        """
        ...

    def advance(self, *views: Tensor) -> None:
        """Fill in what a step saves and its next states; its z may be used up."""
        ...

    def derivative(self, saved: Saved) -> Saved:
        """Coefficients of a gradient from what steps saved, (…, B, …) each, in memory of their own."""
        ...

    def gradients(
        self, coefficients: Saved, d_h: Tensor, d_c: Tensor | None
    ) -> tuple[Tensor, Tensor | None, list[Saved], Tensor | None]:
        """Where `pull` leaves gradients: of z (N, B, G), of the previous h other than through z (N, B,
        H; None: zero), each step's views, and of the first c.

        d_h (B, H) holds the gradient of a step's h at each `pull`; d_c is that of the last c.
        """
        ...

    def pull(self, *views: Tensor) -> None:
        """Fill in a step's gradients; the steps' order is the last one first."""
        ...


def by_step(*parts: Tensor) -> list[Saved]:
    """Views of each step of some (N, …); made together they cost a tenth of what indexing does."""
    return list(zip(*(part.unbind() for part in parts), strict=True))


def scan(
    cell: Cell,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Run z = [k=0] x_t + weights_k (h ⊙ mask) + biases_k through the cell, k in turn at each t.

    x (T, B, G); h, c, mask (B, H); weights (G, H) and biases (G), one a depth k. Returns all
    outputs h (T, B, H), each after the last depth, and the last c, in the weights' dtype. Large products
    follow autocast.
    """
    differentiable = (x, h, *(() if c is None else (c,)), *weights, *biases)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in differentiable):
        outputs, last = _Scan.apply(  # type: ignore[no-untyped-call]
            cell, x, h, c, mask, len(weights), *weights, *biases
        )
    else:
        outputs, last = _steps(cell, x, h, c, weights, biases, mask)
    kind = weights[0].dtype
    return outputs.to(kind), None if last is None else last.to(kind)


def _steps(
    cell: Cell,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    mask: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """`scan` where nothing is to be differentiated."""
    dtype, outputs = step_dtype(weights[0], h), []
    precise = torch.promote_types(dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        across = [weight.to(dtype).T.contiguous() for weight in weights]  # (H, G)
        h, c = h.to(precise), c if c is None else c.to(precise)
        for x_t in x.to(precise) + biases[0]:
            for k, matrix in enumerate(across):
                seen = (h if mask is None else h * mask).to(dtype)  # (B, H)
                z = torch.mm(seen, matrix).to(precise) + (x_t if k == 0 else biases[k])
                h, c, _ = cell.forward(z, h, c)
            outputs.append(h)
    return torch.stack(outputs), c


def product_dtype(weight: Tensor) -> torch.dtype:
    """What matrix products with a weight are taken in: autocast's dtype, or the weight's."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def step_dtype(weight: Tensor, h: Tensor) -> torch.dtype:
    """What a step's product with h (B, H) is taken in: `product_dtype`, or float32 where that is no slower.

    A CPU pays for two casts and the call's preparation at each step, which few numbers are not worth.
    """
    dtype = product_dtype(weight)
    precise = torch.promote_types(dtype, torch.float32)
    if dtype == precise or weight.device.type != "cpu":  # a trace must not fix the batch
        return dtype
    return precise if len(h) * weight.numel() <= FEW else dtype


def add_product(to: Tensor, left: Tensor, right: Tensor, out: Tensor) -> None:
    """Set `out` to `to` + left @ right, the product taken in the dtype of `right`."""
    if right.dtype == to.dtype:
        torch.addmm(to, left, right, out=out)
    else:
        torch.add(to, left.to(right.dtype) @ right, out=out)


def state_room(steps: int, first: Tensor, like: Tensor) -> Tensor:
    """Room for the states after so many steps and the first, which is filled in: (N + 1, B, H)."""
    room = like.new_empty(steps + 1, *first.shape)
    room[0] = first
    return room


class _Scan(torch.autograd.Function):
    """`scan` and its gradient. Steps are counted as t · depth + k."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: Cell,
        x: Tensor,
        h: Tensor,
        c: Tensor | None,
        mask: Tensor | None,
        depth: int,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor | None]:
        device = x.device.type
        dtype, of_step = product_dtype(parameters[0]), step_dtype(parameters[0], h)
        precise = torch.promote_types(dtype, torch.float32)
        with torch.autocast(device, enabled=False):
            # Skinny products are a third faster on a CPU with the weight laid out as it is read.
            across = [weight.to(of_step).T.contiguous() for weight in parameters[:depth]]  # (H, G)
            T, B, G = x.shape
            z = x.new_empty(T, depth, B, G, dtype=precise)
            torch.add(x, parameters[depth], out=z[:, 0])
            for k in range(1, depth):
                z[:, k] = parameters[depth + k]
            z = z.flatten(0, 1)  # (T·depth, B, G)
            hidden = state_room(len(z), h, z)
            memory = None if c is None else state_room(len(z), c, z)
            saved, steps = cell.room(z, hidden, memory)
            seen = torch.empty_like(hidden[0])
            for n, (z_n, h_n, step) in enumerate(
                zip(z.unbind(), hidden.unbind()[:-1], steps, strict=True)
            ):
                if mask is not None:
                    h_n = torch.mul(h_n, mask, out=seen)
                add_product(z_n, h_n, across[n % depth], out=z_n)
                cell.advance(*step)
        ctx.cell, ctx.dtypes, ctx.depth, ctx.mask = cell, (dtype, of_step), depth, mask
        ctx.weights, ctx.hidden, ctx.rooms = parameters[:depth], hidden, saved
        return hidden[depth::depth], None if memory is None else memory[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_c: Tensor | None) -> tuple[Tensor | None, ...]:
        cell, mask, (dtype, of_step), depth = ctx.cell, ctx.mask, ctx.dtypes, ctx.depth
        with torch.autocast(d_outputs.device.type, enabled=False):
            matrices = [weight.to(of_step) for weight in ctx.weights]
            d_h = torch.empty_like(ctx.hidden[0]).copy_(d_outputs[-1])  # (B, H)
            coefficients = cell.derivative(ctx.rooms)
            d_z, direct, steps, d_c = cell.gradients(coefficients, d_h, d_c)
            # What arrives at the h before a step from outside: an output's gradient, or nothing.
            arriving = [torch.zeros_like(d_h)] * len(d_z)
            arriving[depth::depth] = d_outputs[:-1].to(d_h.dtype).unbind()
            beside = arriving if direct is None else direct.unbind()
            gates = d_z.unbind()
            for n in reversed(range(len(gates))):
                cell.pull(*steps[n])
                if direct is not None and n % depth == 0:
                    beside[n].add_(arriving[n])
                if mask is None:
                    add_product(beside[n], gates[n], matrices[n % depth], out=d_h)
                else:
                    pulled = torch.mm(gates[n].to(of_step), matrices[n % depth])
                    torch.addcmul(beside[n], pulled.to(d_h.dtype), mask, out=d_h)
            seen = ctx.hidden[:-1] if mask is None else ctx.hidden[:-1] * mask
            d_z, seen = d_z.unflatten(0, (-1, depth)), seen.unflatten(0, (-1, depth))
            d_weights, d_biases = [], []
            for k in range(depth):
                rows = d_z[:, k].flatten(0, 1)  # (T·B, G)
                d_weight = rows.to(dtype).T @ seen[:, k].flatten(0, 1).to(dtype)
                d_weights.append(d_weight.to(rows.dtype))
                d_biases.append(rows.sum(0))
        return None, d_z[:, 0], d_h, d_c, None, None, *d_weights, *d_biases
