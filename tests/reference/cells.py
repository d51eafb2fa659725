"""Each network's equations, transcribed literally: one sequence at a time, one step, one unit row.

`net` is the model; masks are those of dropout, already scaled. Slow on purpose.
"""

import torch
from torch import Tensor


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def softmax(x):
    return torch.exp(x) / torch.exp(x).sum()


def lstm(xs: list[Tensor], h: Tensor, c: Tensor, w_x, w_h, b) -> list[Tensor]:
    outputs = []
    for x in xs:
        W, U, B = (m.chunk(4) for m in (w_x, w_h, b))
        i = sigmoid(W[0] @ x + U[0] @ h + B[0])
        f = sigmoid(W[1] @ x + U[1] @ h + B[1])
        g = torch.tanh(W[2] @ x + U[2] @ h + B[2])
        o = sigmoid(W[3] @ x + U[3] @ h + B[3])
        c = f * c + i * g
        h = o * torch.tanh(c)
        outputs.append(h)
    return outputs


def gru(xs, h, w_x, w_h, b_x, b_h):
    outputs = []
    for x in xs:
        W, U, A, B = (m.chunk(3) for m in (w_x, w_h, b_x, b_h))
        r = sigmoid(W[0] @ x + A[0] + U[0] @ h + B[0])
        z = sigmoid(W[1] @ x + A[1] + U[1] @ h + B[1])
        n = torch.tanh(W[2] @ x + A[2] + r * (U[2] @ h + B[2]))
        h = (1 - z) * n + z * h
        outputs.append(h)
    return outputs


def tanh(xs, h, w_x, w_h, b):
    outputs = []
    for x in xs:
        h = torch.tanh(w_x @ x + w_h @ h + b)
        outputs.append(h)
    return outputs


def highway(xs, s, W, recurrent, coupled: bool, mask):
    """W stacks W_H, W_T (, W_C); recurrent lists (R, b) of each depth, stacked likewise."""
    outputs, gates = [], 2 if coupled else 3
    for x in xs:
        for k, (R, b) in enumerate(recurrent):
            parts = zip(W.chunk(gates), R.chunk(gates), b.chunk(gates), strict=True)
            z = [(w @ x if k == 0 else 0) + r @ (s * mask) + own for w, r, own in parts]
            h, t = torch.tanh(z[0]), sigmoid(z[1])
            c = 1 - t if coupled else sigmoid(z[2])
            s = h * t + s * c
        outputs.append(s)
    return outputs


def ordered(xs, h, c, w_x, w_h, b, chunk: int):
    outputs, H = [], len(h)
    n = H // chunk
    for x in xs:
        z = w_x @ x + w_h @ h + b
        F = torch.cumsum(softmax(z[:n]), 0).repeat_interleave(chunk)
        I = 1 - torch.cumsum(softmax(z[n : 2 * n]), 0).repeat_interleave(chunk)  # noqa: E741
        f, i, g, o = z[2 * n :].chunk(4)
        f, i, g, o = sigmoid(f), sigmoid(i), torch.tanh(g), sigmoid(o)
        omega = F * I
        c = (f * omega + (F - omega)) * c + (i * omega + (I - omega)) * g
        h = o * torch.tanh(c)
        outputs.append(h)
    return outputs


def mixture(h, prior, latent_w, latent_b, experts: int, E, b, mask):
    """log P of every word: P = Σ_k π_k softmax(E · drop(tanh(W_k h + b_k)) + b)."""
    pi = softmax(prior @ h)
    latents = (torch.tanh(latent_w @ h + latent_b) * mask).chunk(experts)
    return torch.log(sum(p * softmax(E @ H + b) for p, H in zip(pi, latents, strict=True)))
