"""Equations of the newer cells, transcribed literally: one sequence, one step, one head at a time.

Weights are the model's own, cut by the names in its gates; no scan, no shared helper of the models.
"""

import torch
from torch import Tensor


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def softplus(x):
    return torch.log(1 + torch.exp(x))


def cut(matrix: Tensor, gates) -> dict[str, Tensor]:
    """Rows of a stacked tensor by gate."""
    if isinstance(gates, tuple):
        return dict(zip(gates, matrix.chunk(len(gates)), strict=True))
    return dict(zip(gates, matrix.split(list(gates.values())), strict=True))


def min_gru(xs, h, m):
    W, b = cut(m.stacked.weight, m.gates), cut(m.stacked.bias, m.gates)
    states, factors = [], []
    for x in xs:
        z = sigmoid(W["update"] @ x + b["update"])
        h = (1 - z) * h + z * (W["candidate"] @ x + b["candidate"])
        states.append(m.out.weight @ h + m.out.bias)
        factors.append(1 - z)
    return states, h, factors


def min_lstm(xs, h, m):
    W, b = cut(m.stacked.weight, m.gates), cut(m.stacked.bias, m.gates)
    states, factors = [], []
    for x in xs:
        f, i = (sigmoid(W[g] @ x + b[g]) for g in ("forget", "input"))
        h = f / (f + i) * h + i / (f + i) * (W["candidate"] @ x + b["candidate"])
        states.append(m.out.weight @ h + m.out.bias)
        factors.append(f / (f + i))
    return states, h, factors


def lru(xs, h, m):
    units = len(m.nu)
    B = torch.complex(*m.stacked.weight.chunk(2))
    real, minus_imaginary = m.out.weight.chunk(2, 1)
    C = torch.complex(real, -minus_imaginary)
    lam = torch.exp(-torch.exp(m.nu) + 1j * torch.exp(m.theta))
    h = torch.complex(h[:units], h[units:])
    outputs, factors = [], []
    for x in xs:
        h = lam * h + torch.exp(m.gamma) * (B @ x.to(B.dtype))
        outputs.append((C @ h).real + m.direct * x)
        factors.append(lam.abs().repeat(2))
    return outputs, torch.cat([h.real, h.imag]), factors


def gated_linear(xs, h, m):
    W = cut(m.stacked.weight, m.gates)
    S = list(h.view(m.heads, m.head, m.state))
    outputs, factors = [], []
    for x in xs:
        k, q = W["key"] @ x, W["query"] @ x
        y, sizes = [], []
        for j in range(m.heads):
            rows = slice(j * m.head, (j + 1) * m.head)
            v = W["value"][rows] @ x
            delta = softplus(W["step"][j] @ x + m.step_bias[j])
            a = torch.exp(-delta * torch.exp(m.alpha[j]))
            S[j] = a * S[j] + torch.outer(delta * v, k)
            y.append(S[j] @ q + m.direct[j] * v)
            sizes.append(a.expand(m.head * m.state))
        gate = W["output"] @ x
        y = torch.cat(y) * gate * sigmoid(gate)
        y = y / torch.sqrt((y**2).mean() + 1e-6) * m.norm.weight
        outputs.append(m.out.weight @ y)
        factors.append(torch.cat(sizes))
    return outputs, torch.stack(S).flatten(), factors


def mlstm(xs, h, m):
    W, b = cut(m.stacked.weight, m.gates), cut(m.stacked.bias, m.gates)
    heads = list(h.view(m.heads, m.head + 1, m.head))
    C, n = [part[:-1] for part in heads], [part[-1] for part in heads]
    outputs, factors = [], []
    for x in xs:
        y, sizes = [], []
        for j in range(m.heads):
            rows = slice(j * m.head, (j + 1) * m.head)
            q, k, v, o = (W[g][rows] @ x + b[g][rows] for g in ("query", "key", "value", "output"))
            k = k / m.head**0.5
            i, f = (W[g][j] @ x + b[g][j] for g in ("input", "forget"))
            i, f = torch.exp(15 * torch.tanh(i / 15)), sigmoid(f)
            C[j] = f * C[j] + i * torch.outer(v, k)
            n[j] = f * n[j] + i * k
            bound = torch.maximum(torch.abs(n[j] @ q), torch.ones(()).to(q))
            y.append(sigmoid(o) * norm(C[j] @ q / bound, m.norm.weight))
            sizes.append(f.expand((m.head + 1) * m.head))
        outputs.append(m.out.weight @ torch.cat(y) + m.out.bias)
        factors.append(torch.cat(sizes))
    state = torch.cat([torch.cat([C[j], n[j][None]]).flatten() for j in range(m.heads)])
    return outputs, state, factors


def slstm(xs, h, m):
    W, b, R = (cut(t, m.gates) for t in (m.stacked.weight, m.stacked.bias, m.recurrent))
    shown, c, n = h.chunk(3)
    wide = m.head
    outputs = []
    for x in xs:
        new = []
        for j in range(m.heads):
            rows = slice(j * wide, (j + 1) * wide)
            i, f, z, o = (
                W[g][rows] @ x + R[g][rows] @ shown[rows] + b[g][rows]
                for g in ("input", "forget", "cell", "output")
            )
            i, f = torch.exp(15 * torch.tanh(i / 15)), sigmoid(f)
            c_j, n_j = f * c[rows] + i * torch.tanh(z), f * n[rows] + i
            new.append((sigmoid(o) * c_j / n_j, c_j, n_j))
        shown, c, n = (torch.cat(parts) for parts in zip(*new, strict=True))
        outputs.append(m.out.weight @ shown + m.out.bias)
    return outputs, torch.cat([shown, c, n]), None


def blocks(xs: list[Tensor], states: list[Tensor], model, cell):
    """Pre-norm residual blocks over one sequence: last features, states, and factors of each layer."""
    states, after, factors = list(states), [], []
    for block in model.blocks:
        entering, h, window = [norm(x, block.norm.weight) for x in xs], states.pop(0), []
        if block.conv is not None:
            entering, left = convolution(entering, states.pop(0), block.conv)
            window = [left]
        y, h, sizes = cell(entering, h, block.mixer)
        xs = [x + part for x, part in zip(xs, y, strict=True)]
        if block.up is not None:
            xs = [x + feed(norm(x, block.forward_norm.weight), block) for x in xs]
        after += [h, *window]
        factors.append(sizes)
    return [norm(x, model.norm.weight) for x in xs], after, factors


def convolution(xs, window, m):
    """Each channel's sum over its last inputs, weighed by its own taps; and the inputs that are kept."""
    seen = [*window.view(-1, m.width), *xs]
    outputs = []
    for t in range(len(xs)):
        y = torch.stack(
            [
                sum(m.taps[j * m.width + c] * seen[t + j][c] for j in range(m.steps)) + m.bias[c]
                for c in range(m.width)
            ]
        )
        outputs.append(y)
    return outputs, torch.cat(seen[len(xs) :])


def norm(x, weight):
    return x / torch.sqrt((x**2).mean() + 1e-6) * weight


def feed(x, block):
    z = block.up.weight @ x + block.up.bias
    return block.down.weight @ (z * 0.5 * (1 + torch.erf(z / 2**0.5))) + block.down.bias
