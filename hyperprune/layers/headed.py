"""Recurrences of the last years whose units are dealt out to heads: gated linear, mLSTM, sLSTM.

Mixers as those of `hyperprune.layers.mixers`. A matrix lies in the state head by head, row by row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.layers.linear_scan import outer_scan
from hyperprune.layers.mixers import LinearMixer, Mixer
from hyperprune.layers.norms import HeadNorm, RMSNorm
from hyperprune.model import State

CAP = 15.0
"""Soft bound of an exponential input gate's logarithm (Beck et al. 2025, arXiv 2503.13427)."""


class GatedLinear(LinearMixer):
    """S ← a S + (δ v) kᵀ, y = S q + d ⊙ v a head, a = exp(−δ exp α), δ = softplus(W_δ x + b_δ).

    The state-space duality of Dao & Gu 2024 (Mamba-2, arXiv 2405.21060), keys and queries (their B and
    C) common to all heads, outputs normed after a SiLU gate. Values, keys and queries are convolved behind
    the projection, with a SiLU after it. S is P × N.
    """

    def __init__(self, width: int, size: int, heads: int, state: int, conv: int = 0) -> None:
        super().__init__(size + 2 * state, conv, silu=True)
        self.heads, self.head, self.state = heads, size // heads, state
        self.size = size * state
        self.gates = {"output": size, "value": size, "key": state, "query": state, "step": heads}
        self.stacked = nn.Linear(width, sum(self.gates.values()), bias=False)
        self.out = nn.Linear(size, width, bias=False)
        self.norm = RMSNorm(size)
        first = torch.exp(torch.rand(heads) * math.log(100) + math.log(1e-3))  # δ from 1e-3 to 0.1
        self.step_bias = nn.Parameter(first + torch.log(-torch.expm1(-first)))
        self.alpha = nn.Parameter(torch.log(1 + 15 * torch.rand(heads)))
        self.direct = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """A product a chunk of the segment."""
        output, *entering, heads = self.gates.values()  # type: ignore[union-attr]
        gate, vkq, step = self.stacked(x).split([output, sum(entering), heads], -1)
        vkq, window = self.convolved(vkq, state)
        v, k, q = vkq.split(entering, -1)
        steps, batch = x.shape[:2]
        values = v.view(steps, batch, self.heads, self.head)
        keys, queries = (part.unsqueeze(2).expand(-1, -1, self.heads, -1) for part in (k, q))
        delta = functional.softplus(step + self.step_bias)  # (T, B, heads)
        S = state[0].view(batch, self.heads, self.head, self.state).to(v.dtype)
        log_a = -delta * self.alpha.exp()
        y, S = outer_scan(log_a, delta[..., None] * values, keys, queries, S)
        y = (y + self.direct[:, None] * values).flatten(-2)
        return self.out(self.norm(y * functional.silu(gate))), (S.reshape(batch, -1), *window)

    def moduli(self, x: Tensor, state: State) -> Tensor:
        """a of a head, for each number of its matrix."""
        step = self.stacked(x)[..., -self.heads :]
        a = torch.exp(-functional.softplus(step + self.step_bias) * self.alpha.exp())
        return a.repeat_interleave(self.head * self.state, -1)


class MLSTM(LinearMixer):
    """C ← f C + i v kᵀ, n ← f n + i k, y = o ⊙ norm(C q / max(|nᵀ q|, 1)) a head, i = exp, f and o = σ.

    Beck et al. 2024 (arXiv 2405.04517, eq. 19–27), k divided by √d, with their block's norm a head, and
    its convolution with a SiLU before queries and keys. i's logarithm is softly bounded, so that no third
    state has to keep it in range. n is the last row of a head's state.
    """

    def __init__(self, width: int, size: int, heads: int, conv: int = 0) -> None:
        super().__init__(width, conv, silu=True)
        self.heads, self.head = heads, size // heads
        self.size = heads * (self.head + 1) * self.head
        projected = ("query", "key", "value", "output")
        self.gates = {**dict.fromkeys(projected, size), "input": heads, "forget": heads}
        self.stacked = nn.Linear(width, sum(self.gates.values()))
        self.out = nn.Linear(size, width)
        self.norm = HeadNorm(size, heads)
        with torch.no_grad():  # they begin remembering: f from 0.95 to 0.998, as the paper has it
            self.stacked.bias[-heads:] = torch.linspace(3, 6, heads)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """A product a chunk of the segment; the normaliser travels as a row of ones among the values."""
        seen, window = self.convolved(x, state)
        entered = _projected(self.stacked, seen, x, 2 * self.heads * self.head)
        *parts, o, enter, forget = entered.split(list(self.gates.values()), -1)  # type: ignore[union-attr]
        steps, batch = x.shape[:2]
        q, k, v = (part.reshape(steps, batch, self.heads, self.head) for part in parts)
        i = torch.exp(CAP * torch.tanh(enter / CAP))[..., None]  # (T, B, heads, 1)
        values = torch.cat([v, torch.ones_like(v[..., :1])], -1)
        C = state[0].view(batch, self.heads, self.head + 1, self.head).to(v.dtype)
        log_f = functional.logsigmoid(forget)
        y, C = outer_scan(log_f, i * values, k * self.head**-0.5, q, C)
        y = self.norm((y[..., :-1] / y[..., -1:].abs().clamp_min(1)).flatten(-2))
        return self.out(torch.sigmoid(o) * y), (C.reshape(batch, -1), *window)

    def moduli(self, x: Tensor, state: State) -> Tensor:
        """f of a head, for each number of its matrix."""
        f = torch.sigmoid(self.stacked(x)[..., -self.heads :])
        return f.repeat_interleave((self.head + 1) * self.head, -1)


class SLSTM(Mixer):
    """c ← f c + i z, n ← f n + i, h ← o ⊙ c / n, z = tanh, i = exp, f and o = σ, of W x + R h a head.

    Beck et al. 2024 (arXiv 2405.04517, eq. 8–14), with their block's norm a head after the recurrence, which
    goes on with h as it was, and its convolution with a SiLU before i and f. h enters its gates, so steps
    wait for each other, and the state is not entered linearly. i's logarithm is softly bounded. The state is
    h, c, n side by side.
    """

    gates = ("input", "forget", "cell", "output")

    def __init__(self, width: int, size: int, heads: int, conv: int = 0) -> None:
        super().__init__(width, conv, silu=True)
        self.heads, self.head = heads, size // heads
        self.size = 3 * size
        self.stacked = nn.Linear(width, 4 * size)
        self.recurrent = nn.Parameter(torch.empty(4 * size, size // heads))  # a head's own units
        self.out = nn.Linear(size, width)
        self.norm = HeadNorm(size, heads)
        nn.init.uniform_(self.recurrent, -(size**-0.5), size**-0.5)
        with torch.no_grad():
            self.stacked.bias[size : 2 * size] = torch.linspace(3, 6, size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """A step after the other."""
        seen, window = self.convolved(x, state)
        entered = _projected(self.stacked, seen, x, 2 * self.heads * self.head)  # (T, B, 4 · units)
        own = self.recurrent.view(4, self.heads, self.head, self.head)
        shown, c, n = state[0].to(entered.dtype).chunk(3, -1)
        outputs = []
        for z in entered:
            heads = shown.unflatten(-1, (self.heads, -1))  # a trace must not fix the batch
            back = torch.einsum("ghij,bhj->bghi", own, heads).reshape(z.shape)
            i, f, cell, o = (z + back).chunk(4, -1)
            i, f = torch.exp(CAP * torch.tanh(i / CAP)), torch.sigmoid(f)
            c, n = f * c + i * torch.tanh(cell), f * n + i
            shown = torch.sigmoid(o) * c / n
            outputs.append(shown)
        return self.out(self.norm(torch.stack(outputs))), (torch.cat([shown, c, n], -1), *window)


def _projected(stacked: nn.Linear, seen: Tensor, x: Tensor, first: int) -> Tensor:
    """A projection whose `first` rows read the convolved inputs, and the others x as it is."""
    if seen is x:
        found: Tensor = stacked(x)
        return found
    rows = (first, len(stacked.bias) - first)
    parts = zip((seen, x), stacked.weight.split(rows), stacked.bias.split(rows), strict=True)
    return torch.cat([functional.linear(*part) for part in parts], -1)
