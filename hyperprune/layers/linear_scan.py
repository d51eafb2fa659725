"""Recurrences that are linear in their state, over a whole segment at once.

No step waits for the one before: T steps take log₂ T passes, or one product of T × T weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 64
"""Steps of an outer-product recurrence taken at once: its weights are CHUNK × CHUNK a head."""


def linear_scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """All h_t = a_t ⊙ h_{t−1} + b_t of a segment: a, b (T, B, n) and h_0 (B, n) to (T, B, n).

    By doubling (Hillis & Steele 1986): only products of a's are formed, so nothing overflows where
    |a| ≤ 1. The gradient is the same scan backwards.
    """
    if len(b) == 1:
        return a * h + b
    found: Tensor = _LinearScan.apply(a, b, h)  # type: ignore[no-untyped-call]
    return found


def outer_scan(
    log_a: Tensor, values: Tensor, keys: Tensor, queries: Tensor, S: Tensor
) -> tuple[Tensor, Tensor]:
    """Read S_t = a_t S_{t−1} + v_t k_tᵀ by y_t = S_t q_t; gives all y (T, B, H, P) and the last S.

    log_a (T, B, H), not above 0; values (T, B, H, P); keys, queries (T, B, H, N); S (B, H, P, N).
    Within a chunk y_t = Σ_{s≤t} (a_{s+1} … a_t) (k_sᵀ q_t) v_s + (a_1 … a_t) S_0 q_t (Dao & Gu 2024).
    """
    if len(values) == 1:
        S = log_a[0].exp()[..., None, None] * S + values[0].unsqueeze(-1) * keys[0].unsqueeze(-2)
        return (S * queries[0].unsqueeze(-2)).sum(-1)[None], S
    outputs = []
    for first in range(0, len(values), CHUNK):
        now = slice(first, first + CHUNK)
        y, S = _chunk(log_a[now], values[now], keys[now], queries[now], S)
        outputs.append(y)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), S


def _chunk(
    log_a: Tensor, values: Tensor, keys: Tensor, queries: Tensor, S: Tensor
) -> tuple[Tensor, Tensor]:
    total = log_a.cumsum(0)  # (T, B, H)
    passed = total[:, None] - total[None]  # (T, S, B, H): what of step s is left at step t
    later = torch.ones(passed.shape[:2], dtype=torch.bool, device=S.device).triu(1)
    left = passed.masked_fill(later[..., None, None], -torch.inf).exp()
    met = torch.einsum("tbhn,sbhn->tsbh", queries, keys)
    y = torch.einsum("tsbh,sbhp->tbhp", left * met, values)
    y = y + torch.einsum("tbhn,bhpn->tbhp", queries * total.exp()[..., None], S)
    kept = keys * (total[-1:] - total).exp()[..., None]
    S = S * total[-1].exp()[..., None, None] + torch.einsum("sbhp,sbhn->bhpn", values, kept)
    return y, S


class _LinearScan(torch.autograd.Function):
    """`linear_scan` and its gradient."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h: Tensor) -> Tensor:
        states = _doubled(a, torch.cat([torch.addcmul(b[:1], a[:1], h), b[1:]]))
        ctx.save_for_backward(a, h, states)
        return states

    @staticmethod
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h, states = ctx.saved_tensors
        # λ_t = d_t + a_{t+1} λ_{t+1}: the scan of the reversed segment.
        later = torch.cat([torch.zeros_like(a[:1]), a[1:].flip(0)])
        d_b = _doubled(later, d_states.flip(0)).flip(0)
        before = torch.cat([h[None], states[:-1]])
        return d_b * before, d_b, d_b[0] * a[0]


def _doubled(a: Tensor, b: Tensor) -> Tensor:
    """h_t = a_t h_{t−1} + b_t from h_0 = 0, in log₂ T passes."""
    reach = 1
    while reach < len(b):
        b = torch.cat([b[:reach], torch.addcmul(b[reach:], a[reach:], b[:-reach])])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b
