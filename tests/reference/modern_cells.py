"""Equations of the newer cells, transcribed literally: one sequence, one step, one head at a time.

Weights are the model's own, cut by the names in its gates; no scan, no shared helper of the models. A cell
takes its inputs, h and the window of its convolution, and gives outputs, h, factors and the window.
"""

import torch
from torch import Tensor


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softplus(x):
    return torch.log(1 + torch.exp(x))


def cut(matrix: Tensor, gates) -> dict[str, Tensor]:
    """Rows of a stacked tensor by gate."""
    if isinstance(gates, tuple):
        return dict(zip(gates, matrix.chunk(len(gates)), strict=True))
    return dict(zip(gates, matrix.split(list(gates.values())), strict=True))


def min_gru(xs, h, window, m):
    xs, window = convolution(xs, window, m.conv)
    W, b = cut(m.stacked.weight, m.gates), cut(m.stacked.bias, m.gates)
    states, factors = [], []
    for x in xs:
        z = sigmoid(W["update"] @ x + b["update"])
        h = (1 - z) * h + z * (W["candidate"] @ x + b["candidate"])
        states.append(m.out.weight @ h + m.out.bias)
        factors.append(1 - z)
    return states, h, factors, window


def min_lstm(xs, h, window, m):
    xs, window = convolution(xs, window, m.conv)
    W, b = cut(m.stacked.weight, m.gates), cut(m.stacked.bias, m.gates)
    states, factors = [], []
    for x in xs:
        f, i = (sigmoid(W[g] @ x + b[g]) for g in ("forget", "input"))
        h = f / (f + i) * h + i / (f + i) * (W["candidate"] @ x + b["candidate"])
        states.append(m.out.weight @ h + m.out.bias)
        factors.append(f / (f + i))
    return states, h, factors, window


def lru(xs, h, window, m):
    xs, window = convolution(xs, window, m.conv)
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
    return outputs, torch.cat([h.real, h.imag]), factors, window


def gated_linear(xs, h, window, m):
    W = cut(m.stacked.weight, m.gates)
    wide, n = m.heads * m.head, m.state
    entering = [torch.cat([W[g] @ x for g in ("value", "key", "query")]) for x in xs]
    convolved, window = convolution(entering, window, m.conv, after=silu)
    S = list(h.view(m.heads, m.head, m.state))
    outputs, factors = [], []
    for x, vkq in zip(xs, convolved, strict=True):
        k, q = vkq[wide : wide + n], vkq[wide + n :]
        y, sizes = [], []
        for j in range(m.heads):
            v = vkq[j * m.head : (j + 1) * m.head]
            delta = softplus(W["step"][j] @ x + m.step_bias[j])
            a = torch.exp(-delta * torch.exp(m.alpha[j]))
            S[j] = a * S[j] + torch.outer(delta * v, k)
            y.append(S[j] @ q + m.direct[j] * v)
            sizes.append(a.expand(m.head * m.state))
        y = torch.cat(y) * silu(W["output"] @ x)
        y = y / torch.sqrt((y**2).mean() + 1e-6) * m.norm.weight
        outputs.append(m.out.weight @ y)
        factors.append(torch.cat(sizes))
    return outputs, torch.stack(S).flatten(), factors, window


def mlstm(xs, h, window, m):
    convolved, window = convolution(xs, window, m.conv, after=silu)
    W, b = cut(m.stacked.weight, m.gates), cut(m.stacked.bias, m.gates)
    heads = list(h.view(m.heads, m.head + 1, m.head))
    C, n = [part[:-1] for part in heads], [part[-1] for part in heads]
    outputs, factors = [], []
    for x, seen in zip(xs, convolved, strict=True):
        y, sizes = [], []
        for j in range(m.heads):
            rows = slice(j * m.head, (j + 1) * m.head)
            q, k = (W[g][rows] @ seen + b[g][rows] for g in ("query", "key"))
            v, o = (W[g][rows] @ x + b[g][rows] for g in ("value", "output"))
            k = k / m.head**0.5
            i, f = (W[g][j] @ x + b[g][j] for g in ("input", "forget"))
            i, f = torch.exp(15 * torch.tanh(i / 15)), sigmoid(f)
            C[j] = f * C[j] + i * torch.outer(v, k)
            n[j] = f * n[j] + i * k
            bound = torch.maximum(torch.abs(n[j] @ q), torch.ones(()).to(q))
            y.append(sigmoid(o) * group_norm(C[j] @ q / bound, m.norm.weight[rows]))
            sizes.append(f.expand((m.head + 1) * m.head))
        outputs.append(m.out.weight @ torch.cat(y) + m.out.bias)
        factors.append(torch.cat(sizes))
    state = torch.cat([torch.cat([C[j], n[j][None]]).flatten() for j in range(m.heads)])
    return outputs, state, factors, window


def slstm(xs, h, window, m):
    convolved, window = convolution(xs, window, m.conv, after=silu)
    W, b, R = (cut(t, m.gates) for t in (m.stacked.weight, m.stacked.bias, m.recurrent))
    shown, c, n = h.chunk(3)
    wide = m.head
    outputs = []
    for x, seen in zip(xs, convolved, strict=True):
        new, normed = [], []
        for j in range(m.heads):
            rows = slice(j * wide, (j + 1) * wide)
            i, f, z, o = (
                W[g][rows] @ given + R[g][rows] @ shown[rows] + b[g][rows]
                for g, given in (("input", seen), ("forget", seen), ("cell", x), ("output", x))
            )
            i, f = torch.exp(15 * torch.tanh(i / 15)), sigmoid(f)
            c_j, n_j = f * c[rows] + i * torch.tanh(z), f * n[rows] + i
            new.append((sigmoid(o) * c_j / n_j, c_j, n_j))
            normed.append(group_norm(new[-1][0], m.norm.weight[rows]))
        shown, c, n = (torch.cat(parts) for parts in zip(*new, strict=True))
        outputs.append(m.out.weight @ torch.cat(normed) + m.out.bias)
    return outputs, torch.cat([shown, c, n]), None, window


def blocks(xs: list[Tensor], states: list[Tensor], model, cell):
    """Pre-norm residual blocks over one sequence: last features, states, and factors of each layer."""
    states, after, factors = list(states), [], []
    for block in model.blocks:
        entering, h = [norm(x, block.norm.weight) for x in xs], states.pop(0)
        window = None if block.mixer.conv is None else states.pop(0)
        y, h, sizes, window = cell(entering, h, window, block.mixer)
        xs = [x + part for x, part in zip(xs, y, strict=True)]
        if block.up is not None:
            xs = [x + feed(norm(x, block.forward_norm.weight), block) for x in xs]
        after += [h] if window is None else [h, window]
        factors.append(sizes)
    return [norm(x, model.norm.weight) for x in xs], after, factors


def convolution(xs, window, m, after=lambda y: y):
    """Each channel's sum over its last inputs, weighed by its own taps; and the inputs that are kept.

    `after` is what follows it. Inputs as they are where a cell has no convolution.
    """
    if m is None:
        return xs, None
    seen = [*window.view(-1, m.width), *xs]
    outputs = []
    for t in range(len(xs)):
        y = torch.stack(
            [
                sum(m.taps[j * m.width + c] * seen[t + j][c] for j in range(m.steps)) + m.bias[c]
                for c in range(m.width)
            ]
        )
        outputs.append(after(y))
    return outputs, torch.cat(seen[len(xs) :])


def norm(x, weight):
    return x / torch.sqrt((x**2).mean() + 1e-6) * weight


def group_norm(x, weight):
    """Of one head."""
    x = x - x.mean()
    return x / torch.sqrt((x**2).mean() + 1e-5) * weight


def feed(x, block):
    z = block.up.weight @ x + block.up.bias
    return block.down.weight @ (z * 0.5 * (1 + torch.erf(z / 2**0.5))) + block.down.bias
