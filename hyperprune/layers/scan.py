"""Run a cell over time with a hand-written backward pass, where torch has no fused kernel.

Automatic differentiation of a loop adds up one weight gradient a step. Here the steps' gate
gradients are kept instead, and each weight's gradient is one large product after the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Saved: TypeAlias = tuple[Tensor, ...]


class Cell(Protocol):
    """The pointwise part of a recurrence: gate inputs z (B, G) and state to the next state.

    h (B, H) meets the recurrent weights; c is carried beside it, or None.
    """

    def forward(
        self, z: Tensor, h: Tensor, c: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Saved]:
        """Next h, next c, and what the derivative needs."""
        ...

    def derivative(self, saved: Saved) -> Saved:
        """Coefficients of `pull` from what many steps saved, stacked along a new first dimension."""
        ...

    def pull(
        self, d_h: Tensor, d_c: Tensor | None, coefficients: Saved
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Gradients of z, of the previous h other than through z (None: zero), and of c."""
        ...


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
    outputs h (T, B, H), each after the last depth, and the last c. Matrix products follow autocast.
    """
    outputs, last = _Scan.apply(  # type: ignore[no-untyped-call]
        cell, x, h, c, mask, len(weights), *weights, *biases
    )
    return outputs, last


class _Scan(torch.autograd.Function):
    """`scan` and its gradient."""

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
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else parameters[0].dtype
        precise = torch.promote_types(dtype, torch.float32)
        keep = any(ctx.needs_input_grad)
        with torch.autocast(device, enabled=False):
            # Skinny products are a third faster on a CPU with the weight laid out as it is read.
            weights = [weight.to(dtype).T.contiguous() for weight in parameters[:depth]]  # (H, G)
            biases = [bias.to(precise) for bias in parameters[depth:]]
            x, h = x.to(precise) + biases[0], h.to(precise)  # (T, B, G)
            c = None if c is None else c.to(precise)
            outputs, saved, inputs = [], [], []
            for x_t in x:
                for k in range(depth):
                    seen = (h if mask is None else h * mask).to(dtype)  # (B, H)
                    offset = x_t if k == 0 else biases[k]
                    if dtype == precise:
                        z = torch.addmm(offset, seen, weights[k])  # (B, G)
                    else:
                        z = torch.mm(seen, weights[k]).to(precise) + offset
                    h, c, kept = cell.forward(z, h, c)
                    if keep:
                        saved.append(kept)
                        inputs.append(seen)
                outputs.append(h)
        if keep:
            ctx.cell, ctx.saved, ctx.inputs, ctx.mask = cell, saved, inputs, mask
            ctx.weights = [weight.to(dtype) for weight in parameters[:depth]]
            ctx.dtype, ctx.device = dtype, device
        return torch.stack(outputs), c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_c: Tensor | None) -> tuple[Tensor | None, ...]:
        cell, weights, mask, dtype = ctx.cell, ctx.weights, ctx.mask, ctx.dtype
        depth = len(weights)
        d_h = torch.zeros_like(d_outputs[0])  # (B, H)
        d_gates: list[list[Tensor]] = [[] for _ in range(depth)]
        with torch.autocast(ctx.device, enabled=False):
            stacked = tuple(torch.stack(parts) for parts in zip(*ctx.saved, strict=True))
            steps = list(zip(*(part.unbind() for part in cell.derivative(stacked)), strict=True))
            for t, d_output in reversed(list(enumerate(d_outputs.unbind()))):
                d_h = d_h + d_output
                for k in range(depth - 1, -1, -1):
                    d_z, d_direct, d_c = cell.pull(d_h, d_c, steps[t * depth + k])
                    d_gates[k].append(d_z)
                    d_h = torch.mm(d_z.to(dtype), weights[k]).to(d_z.dtype)  # (B, H)
                    if mask is None:
                        d_h = d_h if d_direct is None else d_h.add_(d_direct)
                    else:
                        d_h = d_h * mask if d_direct is None else torch.addcmul(d_direct, d_h, mask)
            d_weights, d_biases = [], []
            for k in range(depth - 1, -1, -1):
                d_z = torch.stack(d_gates[k][::-1])  # (T, B, G)
                seen = torch.stack(ctx.inputs[k::depth]).flatten(0, 1)  # (T·B, H)
                d_weights.append((d_z.flatten(0, 1).to(dtype).T @ seen).to(d_z.dtype))
                d_biases.append(d_z.sum((0, 1)))
        d_x = d_z  # of the first depth, which x enters
        return None, d_x, d_h, d_c, None, None, *d_weights[::-1], *d_biases[::-1]
