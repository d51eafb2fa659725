"""Recurrences of the last years as mixers over time: minGRU, minLSTM, LRU, gated linear, mLSTM, sLSTM.

A mixer maps a segment (T, B, E) and its state (B, n) to outputs (T, B, E) and the next state. A state that
is complex or a matrix lies in the vector in one stated way: all real parts, then all imaginary ones; matrices
head by head, row by row.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.layers.linear_scan import linear_scan, outer_scan
from hyperprune.model import Gates, Place, Units

CAP = 15.0
"""Soft bound of an exponential input gate's logarithm (Beck et al. 2025, arXiv 2503.13427)."""


class Mixer(nn.Module):
    """A recurrence between two projections. `size` is n, the width of its state.

    `stacked` makes all that is computed from an input at once; `gates` names what its rows stack.
    """

    size: int
    gates: Gates
    heads = 1

    @abstractmethod
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (T, B, E) for inputs (T, B, E) and a state (B, n), and the state after them."""

    def units(self) -> Units | None:
        """Its inner units, by its own parameters' names; with heads, the i-th of every head is one.

        None where they are normed together, so that each is felt by the others whatever it sends.
        """
        return None


class LinearMixer(Mixer):
    """A mixer that is linear in its state, so that each step scales (and turns) what is there."""

    angles: Tensor | None = None
    """Angle of each complex number, which lies at i and n/2 + i."""

    @abstractmethod
    def moduli(self, x: Tensor) -> Tensor:
        """|a_t| of every number of the state (T, B, n): all that its Lyapunov exponents need."""


class MinGRU(LinearMixer):
    """z = σ(W_z x), h̃ = W_h x, h ← (1 − z) ⊙ h + z ⊙ h̃ (Feng et al. 2024, arXiv 2410.01201, §3.1)."""

    gates = ("update", "candidate")

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.stacked = nn.Linear(width, 2 * size)
        self.out = nn.Linear(size, width)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One scan over the segment."""
        update, candidate = self.stacked(x).chunk(2, -1)  # (T, B, n) each
        states = linear_scan(torch.sigmoid(-update), torch.sigmoid(update) * candidate, h)
        return self.out(states), states[-1]

    def units(self) -> Units:
        """A unit has a row in each gate, and what it sends out."""
        return _gated_units(self)

    def moduli(self, x: Tensor) -> Tensor:
        """1 − z."""
        return torch.sigmoid(-self.stacked(x).chunk(2, -1)[0])


class MinLSTM(LinearMixer):
    """f' = f / (f + i), i' = i / (f + i), h ← f' ⊙ h + i' ⊙ W_h x, with f = σ(W_f x), i = σ(W_i x).

    Feng et al. 2024 (arXiv 2410.01201, §3.2), with gates made independent of length.
    """

    gates = ("forget", "input", "candidate")

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.stacked = nn.Linear(width, 3 * size)
        self.out = nn.Linear(size, width)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One scan over the segment."""
        forget, enter, candidate = self.stacked(x).chunk(3, -1)  # (T, B, n) each
        odds = functional.logsigmoid(forget) - functional.logsigmoid(enter)  # ln f / i
        states = linear_scan(torch.sigmoid(odds), torch.sigmoid(-odds) * candidate, h)
        return self.out(states), states[-1]

    def units(self) -> Units:
        """As those of minGRU."""
        return _gated_units(self)

    def moduli(self, x: Tensor) -> Tensor:
        """f'."""
        forget, enter, _ = self.stacked(x).chunk(3, -1)
        return torch.sigmoid(functional.logsigmoid(forget) - functional.logsigmoid(enter))


class LRU(LinearMixer):
    """h ← λ ⊙ h + γ ⊙ B x, y = Re(C h) + d ⊙ x, λ = exp(−exp ν + i exp θ), all but x and d complex.

    Orvieto et al. 2023 (arXiv 2303.06349): λ begins evenly in a ring of radii r_min to r_max, and
    γ = √(1 − |λ|²). In coordinates that turn with λ's angle the recurrence is real, and so is its scan.
    """

    gates = ("real", "imaginary")

    def __init__(
        self, width: int, units: int, r_min: float = 0.9, r_max: float = 0.999, turn: float = 0.314
    ) -> None:
        super().__init__()
        self.size = 2 * units
        self.stacked = nn.Linear(width, 2 * units, bias=False)  # B
        self.out = nn.Linear(2 * units, width, bias=False)  # Re C beside −Im C
        nn.init.normal_(self.stacked.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(self.out.weight, std=units**-0.5)
        squared = torch.rand(units) * (r_max**2 - r_min**2) + r_min**2
        self.nu = nn.Parameter(torch.log(-0.5 * torch.log(squared)))
        self.theta = nn.Parameter(torch.log(turn * (torch.rand(units) + 1e-3)))
        self.gamma = nn.Parameter(0.5 * torch.log1p(-squared))
        self.direct = nn.Parameter(torch.randn(width))

    @property
    def angles(self) -> Tensor:  # type: ignore[override]
        """How far a step turns each number."""
        return self.theta.exp()

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Turn inputs back, scan, turn states on."""
        steps = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)
        angle = steps[:, None] * self.theta.exp()  # (T, units)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        entered = self.stacked(x) * self.gamma.exp().repeat(2)  # (T, B, 2 · units)
        size = self.moduli(x).to(entered.dtype)
        turned = linear_scan(size, _turned(entered, cos, -sin), h.to(entered.dtype))
        states = _turned(turned, cos, sin)
        return self.out(states) + self.direct * x, states[-1]

    def units(self) -> Units:
        """A unit is a complex number, which without weights is 0 at every step."""
        parts = (0, len(self.nu))
        own = [Place(name, 0) for name in ("nu", "theta", "gamma")]
        places = (
            Place("stacked.weight", 0, parts),
            *own,
            Place("out.weight", 1, parts, sends=True),
        )
        return Units(len(self.nu), places, silent=True)

    def moduli(self, x: Tensor) -> Tensor:
        """|λ|, the same at every step."""
        size = torch.exp(-self.nu.exp()).repeat(2)
        return size.expand(*x.shape[:-1], -1)


def _gated_units(mixer: MinGRU | MinLSTM) -> Units:
    starts = tuple(range(0, len(mixer.stacked.bias), mixer.size))
    rows = [Place(f"stacked.{name}", 0, starts) for name in ("weight", "bias")]
    return Units(mixer.size, (*rows, Place("out.weight", 1, sends=True)))


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Multiply complex numbers, real parts before imaginary ones, by cos + i sin."""
    real, imaginary = x.chunk(2, -1)
    return torch.cat([cos * real - sin * imaginary, sin * real + cos * imaginary], -1)


class GatedLinear(LinearMixer):
    """S ← a S + (δ v) kᵀ, y = S q + d ⊙ v a head, a = exp(−δ exp α), δ = softplus(W_δ x + b_δ).

    The state-space duality of Dao & Gu 2024 (Mamba-2, arXiv 2405.21060), keys and queries (their B and
    C) common to all heads, outputs normed after a SiLU gate; without their short convolution. S is P × N.
    """

    def __init__(self, width: int, size: int, heads: int, state: int) -> None:
        super().__init__()
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

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """A product a chunk of the segment."""
        gate, v, k, q, step = self.stacked(x).split(list(self.gates.values()), -1)  # type: ignore[union-attr]
        steps, batch = x.shape[:2]
        values = v.view(steps, batch, self.heads, self.head)
        keys, queries = (part.unsqueeze(2).expand(-1, -1, self.heads, -1) for part in (k, q))
        delta = functional.softplus(step + self.step_bias)  # (T, B, heads)
        S = h.view(batch, self.heads, self.head, self.state).to(v.dtype)
        log_a = -delta * self.alpha.exp()
        y, S = outer_scan(log_a, delta[..., None] * values, keys, queries, S)
        y = (y + self.direct[:, None] * values).flatten(-2)
        return self.out(self.norm(y * functional.silu(gate))), S.reshape(batch, -1)

    def moduli(self, x: Tensor) -> Tensor:
        """a of a head, for each number of its matrix."""
        step = self.stacked(x)[..., -self.heads :]
        a = torch.exp(-functional.softplus(step + self.step_bias) * self.alpha.exp())
        return a.repeat_interleave(self.head * self.state, -1)


class MLSTM(LinearMixer):
    """C ← f C + i v kᵀ, n ← f n + i k, y = o ⊙ norm(C q / max(|nᵀ q|, 1)) a head, i = exp, f and o = σ.

    Beck et al. 2024 (arXiv 2405.04517, eq. 19–27), k divided by √d, and a norm a head as their block has.
    i's logarithm is softly bounded, so that no third state has to keep it in range. n is the last row of
    a head's state.
    """

    def __init__(self, width: int, size: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head = heads, size // heads
        self.size = heads * (self.head + 1) * self.head
        projected = ("query", "key", "value", "output")
        self.gates = {**dict.fromkeys(projected, size), "input": heads, "forget": heads}
        self.stacked = nn.Linear(width, sum(self.gates.values()))
        self.out = nn.Linear(size, width)
        self.norm = RMSNorm(self.head)
        with torch.no_grad():  # they begin remembering: f from 0.95 to 0.998, as the paper has it
            self.stacked.bias[-heads:] = torch.linspace(3, 6, heads)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """A product a chunk of the segment; the normaliser travels as a row of ones among the values."""
        *parts, o, enter, forget = self.stacked(x).split(list(self.gates.values()), -1)  # type: ignore[union-attr]
        steps, batch = x.shape[:2]
        q, k, v = (part.reshape(steps, batch, self.heads, self.head) for part in parts)
        i = torch.exp(CAP * torch.tanh(enter / CAP))[..., None]  # (T, B, heads, 1)
        values = torch.cat([v, torch.ones_like(v[..., :1])], -1)
        C = h.view(batch, self.heads, self.head + 1, self.head).to(v.dtype)
        log_f = functional.logsigmoid(forget)
        y, C = outer_scan(log_f, i * values, k * self.head**-0.5, q, C)
        y = self.norm(y[..., :-1] / y[..., -1:].abs().clamp_min(1))
        return self.out(torch.sigmoid(o) * y.flatten(-2)), C.reshape(batch, -1)

    def moduli(self, x: Tensor) -> Tensor:
        """f of a head, for each number of its matrix."""
        f = torch.sigmoid(self.stacked(x)[..., -self.heads :])
        return f.repeat_interleave((self.head + 1) * self.head, -1)


class SLSTM(Mixer):
    """c ← f c + i z, n ← f n + i, h ← o ⊙ c / n, z = tanh, i = exp, f and o = σ, of W x + R h a head.

    Beck et al. 2024 (arXiv 2405.04517, eq. 8–14). h enters its gates, so steps wait for each other, and
    the state is not entered linearly. i's logarithm is softly bounded. The state is h, c, n side by side.
    """

    gates = ("input", "forget", "cell", "output")

    def __init__(self, width: int, size: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head = heads, size // heads
        self.size = 3 * size
        self.stacked = nn.Linear(width, 4 * size)
        self.recurrent = nn.Parameter(torch.empty(4 * size, size // heads))  # a head's own units
        self.out = nn.Linear(size, width)
        nn.init.uniform_(self.recurrent, -(size**-0.5), size**-0.5)
        with torch.no_grad():
            self.stacked.bias[size : 2 * size] = torch.linspace(3, 6, size)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """A step after the other."""
        entered = self.stacked(x)  # (T, B, 4 · units)
        own = self.recurrent.view(4, self.heads, self.head, self.head)
        shown, c, n = h.to(entered.dtype).chunk(3, -1)
        outputs = []
        for z in entered:
            heads = shown.unflatten(-1, (self.heads, -1))  # a trace must not fix the batch
            back = torch.einsum("ghij,bhj->bghi", own, heads).reshape(z.shape)
            i, f, cell, o = (z + back).chunk(4, -1)
            i, f = torch.exp(CAP * torch.tanh(i / CAP)), torch.sigmoid(f)
            c, n = f * c + i * torch.tanh(cell), f * n + i
            shown = torch.sigmoid(o) * c / n
            outputs.append(shown)
        return self.out(torch.stack(outputs)), torch.cat([shown, c, n], -1)

    def units(self) -> Units:
        """A head reads its own units alone, and all heads are equally wide."""
        starts = tuple(range(0, len(self.recurrent), self.head))
        rows = [Place(name, 0, starts) for name in ("stacked.weight", "stacked.bias", "recurrent")]
        out = Place("out.weight", 1, starts[: self.heads], sends=True)
        return Units(self.head, (*rows, Place("recurrent", 1, sends=True), out))


class RMSNorm(nn.Module):
    """x / √(mean x² + ε) ⊙ w over the last dimension (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        """Scale every vector to one size."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight
