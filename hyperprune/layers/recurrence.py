"""GRU and tanh layers over time with hand-written gradients, for training on a CPU.

Torch's own kernels differentiate them step by step there, with one product a step for each weight's
gradient. Here all that a step's derivative needs but the arriving gradient is made for all steps at
once, and each weight's gradient is one large product. Both take inputs already multiplied by theirs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hyperprune.layers.scan import add_product, by_step, product_dtype, state_room, step_dtype
from hyperprune.layers.slopes import sigmoid_slope, tanh_slope


def gru_over_time(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Outputs (T, B, H) of a GRU layer from drives x = W_x input + b_x (T, B, 3H) and h (B, H).

    weight (3H, H) and bias (3H) are the recurrent ones, gates as r, z, n; r gates W_h h + b_h (Cho et
    al. 2014, arXiv 1406.1078, torch's variant). Large products follow autocast; outputs have the weights'
    dtype.
    """
    outputs: Tensor = _GRU.apply(x, h, weight, bias)  # type: ignore[no-untyped-call]
    return outputs.to(weight.dtype)


def tanh_over_time(x: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """Outputs (T, B, H) of h ← tanh(x_t + weight h) from drives x (T, B, H), biases included.

    Large products follow autocast; outputs have the weights' dtype.
    """
    outputs: Tensor = _Tanh.apply(x, h, weight)  # type: ignore[no-untyped-call]
    return outputs.to(weight.dtype)


def _weight_gradient(gates: Tensor, before: Tensor, dtype: torch.dtype) -> Tensor:
    """Σ_t gates_tᵀ before_t: (T, B, G) and (T, B, H) to (G, H)."""
    product = gates.flatten(0, 1).to(dtype).T @ before.flatten(0, 1).to(dtype)
    return product.to(gates.dtype)


class _GRU(torch.autograd.Function):
    """`gru_over_time` and its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        dtype, of_step = product_dtype(weight), step_dtype(weight, h)
        precise = torch.promote_types(dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            x, H = x.to(precise), h.shape[1]
            across = weight.to(of_step).T.contiguous()  # (H, 3H), as skinny products read it
            # What W_h h is added to: drives and biases of r and z, the bias alone of n.
            gates = x.clone()  # (T, B, 3H)
            gates[..., : 2 * H] += bias[: 2 * H]
            gates[..., 2 * H :] = bias[2 * H :]
            news = x.new_empty(*x.shape[:2], H)
            states = state_room(len(x), h, x)  # (T + 1, B, H)
            for z, squashed, reset, update, gated, x_t, new, h, output in by_step(
                gates, gates[..., : 2 * H], *gates.chunk(3, -1), x[..., 2 * H :], news, states[:-1],
                states[1:],
            ):  # fmt: skip
                add_product(z, h, across, out=z)
                squashed.sigmoid_()
                torch.addcmul(x_t, reset, gated, out=new).tanh_()
                torch.lerp(new, h, update, out=output)
        ctx.save_for_backward(weight, gates, news, states)
        ctx.dtype, ctx.of_step = dtype, of_step
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor, ...]:
        weight, gates, news, states = ctx.saved_tensors
        T, B, H = news.shape
        with torch.autocast(news.device.type, enabled=False):
            reset, update, gated = gates.chunk(3, -1)
            before = states[:-1]
            # Slopes of the new state in W_h h + b_h of n, r, z, in n's drive, and in h; then gradients.
            # In this order what enters W_h h lies together, and so do the drives.
            pulled = news.new_empty(T, B, 5, H)
            into_n, into_r, into_z, into_drive, direct = pulled.unbind(2)
            tanh_slope(1 - update, news, into_drive)
            torch.mul(into_drive, reset, out=into_n)
            sigmoid_slope(into_drive * gated, reset, into_r)
            sigmoid_slope(before - news, update, into_z)
            direct.copy_(update)
            flat = pulled.flatten(2)  # (T, B, 5H)
            d_recurrent, d_x = flat[..., : 3 * H], flat[..., H : 4 * H]
            matrix = weight.to(ctx.of_step).roll(H, 0)  # n, r, z
            d_h = torch.zeros_like(states[0])
            for d_output, slopes, through, beside in reversed(
                by_step(d_outputs, pulled, d_recurrent, direct)
            ):
                slopes.mul_(d_h.add_(d_output).unsqueeze(1))
                add_product(beside, through, matrix, out=d_h)
            d_weight = _weight_gradient(d_recurrent, before, ctx.dtype)
            d_bias = d_recurrent.sum((0, 1))
        return d_x, d_h, d_weight.roll(-H, 0), d_bias.roll(-H)


class _Tanh(torch.autograd.Function):
    """`tanh_over_time` and its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, weight: Tensor) -> Tensor:
        dtype, of_step = product_dtype(weight), step_dtype(weight, h)
        precise = torch.promote_types(dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(precise)
            across = weight.to(of_step).T.contiguous()  # (H, H)
            states = state_room(len(x), h, x)  # (T + 1, B, H)
            for x_t, h, output in by_step(x, states[:-1], states[1:]):
                add_product(x_t, h, across, out=output)
                output.tanh_()
        ctx.save_for_backward(weight, states)
        ctx.dtype, ctx.of_step = dtype, of_step
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor, ...]:
        weight, states = ctx.saved_tensors
        with torch.autocast(states.device.type, enabled=False):
            matrix = weight.to(ctx.of_step)
            pulled = torch.empty_like(states[1:])
            d_h = torch.empty_like(states[0]).copy_(d_outputs[-1])
            # What arrives at the h before a step: its gradient as an output, or nothing at the first.
            arriving = (torch.zeros_like(d_h), *d_outputs[:-1].unbind())
            steps = zip(arriving, states[1:].unbind(), pulled.unbind(), strict=True)
            for beside, output, gradient in reversed(list(steps)):
                tanh_slope(d_h, output, gradient)
                add_product(beside, gradient, matrix, out=d_h)
            d_weight = _weight_gradient(pulled, states[:-1], ctx.dtype)
        return pulled, d_h, d_weight
