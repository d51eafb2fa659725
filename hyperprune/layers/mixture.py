"""Exact losses over a large vocabulary that never hold all logits at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ENTRIES = {"cpu": 1 << 21, "cuda": 1 << 27}
"""Logits held at a time, by device: 8 MiB in float32, which a CPU's caches hold, and 512 MiB. More
where the weight is wide, since every chunk adds to all of its gradient.
"""

TINY = 1e-30
"""Sums of exponentials down to this, and up to its inverse, are exact in float32 as they are."""


def at_least_float32(x: Tensor) -> Tensor:
    """Lift half precision to float32, where exponentials and sums over a vocabulary are taken."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def mixture_nll(
    latents: Tensor, log_prior: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> Tensor:
    """Mean −log Σ_k π_k softmax(weight·latent_k + bias)[target] in nats: a scalar.

    latents (N, K, E), log_prior (N, K), weight (V, E), bias (V), targets (N). The mixture of
    softmaxes of Yang et al. 2018 (arXiv 1711.03953); K = 1 with a zero prior is cross entropy.

    Positions are taken in chunks, and their gradients with them, since the gradient of a scalar loss
    is known up to one factor. So N·K·V logits are made once, and never more than `ENTRIES` of them exist.
    """
    loss: Tensor = _MixtureNLL.apply(latents, log_prior, weight, bias, targets)  # type: ignore[no-untyped-call]
    return loss


def linear_nll(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of weight·features + bias in nats: a scalar.

    features (N, H), weight (V, H), bias (V), targets (N); a mixture of one, and as lean.
    """
    certain = features.new_zeros(features.shape[0], 1)
    return mixture_nll(features.unsqueeze(1), certain, weight, bias, targets)


def mixture_log_probabilities(
    latents: Tensor, log_prior: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """log Σ_k π_k softmax(weight·latent_k + bias) for every word, by logsumexp: (…, V).

    latents (…, K, E), log_prior (…, K). Holds all (…, K, V) logits.
    """
    experts = torch.log_softmax(at_least_float32(latents @ weight.T + bias), dim=-1)  # (…, K, V)
    return torch.logsumexp(experts + log_prior.unsqueeze(-1), dim=-2)


def _exponentials(
    x: Tensor, matrix: Tensor, bias: Tensor, chosen: Tensor, out: Tensor, *, shifted: bool
) -> tuple[Tensor, Tensor]:
    """Fill `out` (n, V) with exponentials of the logits of x (n, E); the chosen logit and the sum (n, 1).

    `shifted` subtracts each row's largest logit from both first, which costs two passes over `out`.
    """
    if x.dtype == out.dtype:
        torch.mm(x, matrix.T, out=out)
    else:
        out.copy_(x @ matrix.T)
    out.add_(bias)
    if shifted:
        out.sub_(out.amax(1, keepdim=True))
    picked = out.gather(1, chosen)
    return picked, out.exp_().sum(1, keepdim=True)


class _MixtureNLL(torch.autograd.Function):
    """`mixture_nll` with its gradient taken chunk by chunk in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, latents: Tensor, log_prior: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
    ) -> Tensor:
        positions, experts, width = latents.shape
        vocabulary = weight.shape[0]
        differentiate = any(ctx.needs_input_grad)
        device = latents.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else weight.dtype
        precise = torch.promote_types(dtype, torch.float32)
        # Elsewhere a look at the sums would wait for the device, and float16 overflows early.
        plain = device == "cpu" and dtype != torch.float16
        total = torch.zeros((), dtype=precise, device=latents.device)
        if differentiate:
            d_latents = torch.empty_like(latents, dtype=precise)
            d_prior = torch.empty_like(log_prior, dtype=precise)
            d_matrix = torch.empty_like(weight, dtype=precise)
            d_bias = torch.zeros_like(bias, dtype=precise)
        with torch.autocast(device, enabled=False):
            matrix = weight.to(dtype)  # (V, E)
            rows = max(ENTRIES.get(device, 1 << 27) // vocabulary, 2 * width)
            size = max(1, rows // experts)  # positions a chunk
            # One buffer for all chunks: fresh memory of this size costs as much as a pass over it.
            room = min(size, positions) * experts
            buffer = torch.empty(room, vocabulary, dtype=precise, device=latents.device)
            for start in range(0, positions, size):
                part = slice(start, start + size)
                x = latents[part].reshape(-1, width).to(dtype)  # (n·K, E)
                chosen = targets[part].repeat_interleave(experts).unsqueeze(1)  # (n·K, 1)
                logits = buffer[: len(x)]  # (n·K, V), and then their exponentials
                picked, mass = _exponentials(x, matrix, bias, chosen, logits, shifted=not plain)
                if plain and not bool(((mass > TINY) & (mass < 1 / TINY)).all()):
                    picked, mass = _exponentials(x, matrix, bias, chosen, logits, shifted=True)
                log_expert = (picked - mass.log()).view(-1, experts)  # (n, K)
                joint = log_prior[part].to(precise) + log_expert
                log_likelihood = torch.logsumexp(joint, 1, keepdim=True)  # (n, 1)
                total -= log_likelihood.sum()
                if not differentiate:
                    continue
                share = (joint - log_likelihood).exp_().div_(positions)  # (n, K), responsibilities
                d_prior[part] = -share
                # d_logits = factor · (exponentials − mass at the target): the factor of a row is
                # left to what is narrow, so that no further pass over the vocabulary is needed.
                factor = share.view(-1, 1) / mass  # (n·K, 1)
                d_logits = logits.scatter_add_(1, chosen, -mass)
                d_bias.addmv_(d_logits.T, factor.squeeze(1))
                d_logits = d_logits.to(dtype)
                d_x = (d_logits @ matrix).to(precise).mul_(factor)
                d_latents[part] = d_x.view(-1, experts, width)
                x = (x * factor).to(dtype)
                if dtype == precise:
                    d_matrix.addmm_(d_logits.T, x, beta=min(start, 1))  # 0: not yet filled
                elif start:
                    d_matrix.add_(d_logits.T @ x)
                else:
                    d_matrix.copy_(d_logits.T @ x)
        if differentiate:
            grads = (d_latents, d_prior, d_matrix, d_bias)
            ctx.grads = tuple(
                grad.to(of.dtype)
                for grad, of in zip(grads, (latents, log_prior, weight, bias), strict=True)
            )
        return total / positions

    @staticmethod
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        return (*(grad * d_loss.to(grad.dtype) for grad in ctx.grads), None)
