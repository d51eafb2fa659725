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


def gru_over_time(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Outputs (T, B, H) of a GRU layer from drives x = W_x input + b_x (T, B, 3H) and h (B, H).

    weight (3H, H) and bias (3H) are the recurrent ones, gates as r, z, n; r gates W_h h + b_h (Cho et
    al. 2014, arXiv 1406.1078, torch's variant). Matrix products follow autocast.
    """
    outputs: Tensor = _GRU.apply(x, h, weight, bias)  # type: ignore[no-untyped-call]
    return outputs


def tanh_over_time(x: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """Outputs (T, B, H) of h ← tanh(x_t + weight h) from drives x (T, B, H), biases included."""
    outputs: Tensor = _Tanh.apply(x, h, weight)  # type: ignore[no-untyped-call]
    return outputs


def _product_dtype(weight: Tensor) -> torch.dtype:
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def _weight_gradient(gates: Tensor, before: Tensor, dtype: torch.dtype) -> Tensor:
    """Σ_t gates_tᵀ before_t: (T, B, G) and (T, B, H) to (G, H)."""
    product = gates.flatten(0, 1).to(dtype).T @ before.flatten(0, 1).to(dtype)
    return product.to(gates.dtype)


class _GRU(torch.autograd.Function):
    """`gru_over_time` and its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        dtype = _product_dtype(weight)
        precise = torch.promote_types(dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            x, h, first = x.to(precise), h.to(precise), h.to(precise)
            T, B, H = *x.shape[:2], h.shape[1]
            across = weight.to(dtype).T.contiguous()  # (H, 3H), as skinny products read it
            bias = bias.to(precise)
            gates = x.new_empty(T, B, 2 * H)  # r and z
            news, gated, outputs = (x.new_empty(T, B, H) for _ in range(3))
            for t in range(T):
                if dtype == precise:
                    z = torch.addmm(bias, h, across)  # (B, 3H)
                else:
                    z = torch.mm(h.to(dtype), across).to(precise).add_(bias)
                torch.add(x[t, :, : 2 * H], z[:, : 2 * H], out=gates[t]).sigmoid_()
                reset, update = gates[t, :, :H], gates[t, :, H:]
                gated[t] = z[:, 2 * H :]
                torch.addcmul(x[t, :, 2 * H :], reset, gated[t], out=news[t]).tanh_()
                h = torch.lerp(news[t], h, update, out=outputs[t])
        ctx.save_for_backward(first, weight, gates, news, gated, outputs)
        ctx.dtype = dtype
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor, ...]:
        first, weight, gates, news, gated, outputs = ctx.saved_tensors
        T, B, H = outputs.shape
        with torch.autocast(outputs.device.type, enabled=False):
            matrix = weight.to(ctx.dtype)
            reset, update = gates[..., :H], gates[..., H:]
            before = torch.cat([first.unsqueeze(0), outputs[:-1]])  # (T, B, H)
            into_new = (1 - update) * (1 - news * news)
            slopes = torch.stack(  # of the new state in W_h h + b_h of r, z, n, and in n's drive
                [
                    into_new * gated * reset * (1 - reset),
                    (before - news) * update * (1 - update),
                    into_new * reset,
                    into_new,
                ],
                2,
            )  # (T, B, 4, H)
            pulled = torch.empty_like(slopes)
            flat = pulled.view(T, B, 4 * H)
            d_h = torch.zeros_like(first)
            for t in range(T - 1, -1, -1):
                d_h = d_h + d_outputs[t]
                torch.mul(d_h.unsqueeze(1), slopes[t], out=pulled[t])
                through = flat[t, :, : 3 * H]  # (B, 3H)
                if ctx.dtype == flat.dtype:
                    d_h = torch.addmm(d_h * update[t], through, matrix)
                else:
                    d_h = (through.to(ctx.dtype) @ matrix).to(flat.dtype).addcmul_(d_h, update[t])
            d_recurrent = flat[..., : 3 * H]
            d_x = torch.cat([flat[..., : 2 * H], flat[..., 3 * H :]], -1)
            d_weight = _weight_gradient(d_recurrent, before, ctx.dtype)
        return d_x, d_h, d_weight, d_recurrent.sum((0, 1))


class _Tanh(torch.autograd.Function):
    """`tanh_over_time` and its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, weight: Tensor) -> Tensor:
        dtype = _product_dtype(weight)
        precise = torch.promote_types(dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            x, h, first = x.to(precise), h.to(precise), h.to(precise)
            across = weight.to(dtype).T.contiguous()  # (H, H)
            outputs = torch.empty_like(x)
            for x_t, output in zip(x, outputs, strict=True):
                if dtype == precise:
                    torch.addmm(x_t, h, across, out=output)
                else:
                    torch.add(x_t, torch.mm(h.to(dtype), across).to(precise), out=output)
                h = output.tanh_()
        ctx.save_for_backward(first, weight, outputs)
        ctx.dtype = dtype
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor, ...]:
        first, weight, outputs = ctx.saved_tensors
        with torch.autocast(outputs.device.type, enabled=False):
            matrix = weight.to(ctx.dtype)
            slopes = 1 - outputs * outputs
            pulled = torch.empty_like(outputs)
            d_h = torch.zeros_like(first)
            for t in range(len(outputs) - 1, -1, -1):
                torch.mul(d_h.add_(d_outputs[t]), slopes[t], out=pulled[t])
                d_h = torch.mm(pulled[t].to(ctx.dtype), matrix).to(outputs.dtype)
            before = torch.cat([first.unsqueeze(0), outputs[:-1]])  # (T, B, H)
            d_weight = _weight_gradient(pulled, before, ctx.dtype)
        return pulled, d_h, d_weight
