"""Recurrences of the last years as mixers over time: minGRU, minLSTM and LRU; `headed` has those with heads.

A mixer maps a segment (T, B, E) and its state to outputs (T, B, E) and the next state: a vector (B, n), and
the window of its convolution where it has one. Complex numbers lie in the vector in one stated way: all real
parts, then all imaginary ones.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.errors import PluginError
from hyperprune.layers.convolution import CausalConvolution
from hyperprune.layers.linear_scan import linear_scan
from hyperprune.model import Gates, Place, State, StatePart, Units


class Mixer(nn.Module):
    """A recurrence between two projections, with a short convolution where its paper has one.

    `size` is n, the width of its state. `stacked` makes all that is computed from an input; `gates` names
    what its rows stack. The convolution takes `conv` steps (0: there is none) of so many `channels`, with a
    SiLU after it or not. Raises PluginError for one that sees a single step.
    """

    size: int
    gates: Gates

    def __init__(self, channels: int, conv: int, *, silu: bool = False) -> None:
        super().__init__()
        if conv == 1:
            raise PluginError("conv = 1 sees no input before its own: 0 for none, or 2 and more")
        self.conv = CausalConvolution(channels, conv, silu=silu) if conv else None

    @abstractmethod
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs (T, B, E) for inputs (T, B, E) and its own state, and the state after them."""

    def parts(self, layer: int) -> tuple[StatePart, ...]:
        """What it carries: the recurrence's vector, and the convolution's window."""
        own = StatePart(layer, "hidden", self.size)
        return (own, StatePart(layer, "window", self.conv.window)) if self.conv else (own,)

    def convolved(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """What the convolution makes of its channels (T, B, C), and its next window; else x itself."""
        if self.conv is None:
            return x, ()
        y, window = self.conv(x, state[1])
        return y, (window,)

    def units(self) -> Units | None:
        """Its inner units, by its own parameters' names.

        None where they are normed together, so that each is felt by the others whatever it sends.
        """
        return None


class LinearMixer(Mixer):
    """A mixer that is linear in its state, so that each step scales (and turns) what is there."""

    angles: Tensor | None = None
    """Angle of each complex number, which lies at i and n/2 + i."""

    @abstractmethod
    def moduli(self, x: Tensor, state: State) -> Tensor:
        """|a_t| of every number of the vector (T, B, n): all that its Lyapunov exponents need."""


class MinGRU(LinearMixer):
    """z = σ(W_z x), h̃ = W_h x, h ← (1 − z) ⊙ h + z ⊙ h̃ (Feng et al. 2024, arXiv 2410.01201, §3.1).

    x is convolved before all else, as in their blocks.
    """

    gates = ("update", "candidate")

    def __init__(self, width: int, size: int, conv: int = 0) -> None:
        super().__init__(width, conv)
        self.size = size
        self.stacked = nn.Linear(width, 2 * size)
        self.out = nn.Linear(size, width)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One scan over the segment."""
        x, window = self.convolved(x, state)
        update, candidate = self.stacked(x).chunk(2, -1)  # (T, B, n) each
        states = linear_scan(torch.sigmoid(-update), torch.sigmoid(update) * candidate, state[0])
        return self.out(states), (states[-1], *window)

    def units(self) -> Units:
        """A unit has a row in each gate, and what it sends out."""
        return _gated_units(self)

    def moduli(self, x: Tensor, state: State) -> Tensor:
        """1 − z."""
        return torch.sigmoid(-self.stacked(self.convolved(x, state)[0]).chunk(2, -1)[0])


class MinLSTM(LinearMixer):
    """f' = f / (f + i), i' = i / (f + i), h ← f' ⊙ h + i' ⊙ W_h x, with f = σ(W_f x), i = σ(W_i x).

    Feng et al. 2024 (arXiv 2410.01201, §3.2), with gates made independent of length; x as minGRU's.
    """

    gates = ("forget", "input", "candidate")

    def __init__(self, width: int, size: int, conv: int = 0) -> None:
        super().__init__(width, conv)
        self.size = size
        self.stacked = nn.Linear(width, 3 * size)
        self.out = nn.Linear(size, width)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One scan over the segment."""
        x, window = self.convolved(x, state)
        forget, enter, candidate = self.stacked(x).chunk(3, -1)  # (T, B, n) each
        odds = functional.logsigmoid(forget) - functional.logsigmoid(enter)  # ln f / i
        states = linear_scan(torch.sigmoid(odds), torch.sigmoid(-odds) * candidate, state[0])
        return self.out(states), (states[-1], *window)

    def units(self) -> Units:
        """As those of minGRU."""
        return _gated_units(self)

    def moduli(self, x: Tensor, state: State) -> Tensor:
        """f'."""
        forget, enter, _ = self.stacked(self.convolved(x, state)[0]).chunk(3, -1)
        return torch.sigmoid(functional.logsigmoid(forget) - functional.logsigmoid(enter))


class LRU(LinearMixer):
    """h ← λ ⊙ h + γ ⊙ B x, y = Re(C h) + d ⊙ x, λ = exp(−exp ν + i exp θ), all but x and d complex.

    Orvieto et al. 2023 (arXiv 2303.06349): λ begins evenly in a ring of radii r_min to r_max, and
    γ = √(1 − |λ|²). In coordinates that turn with λ's angle the recurrence is real, and so is its scan.
    They have no convolution; where one is asked for, x is convolved before all else.
    """

    gates = ("real", "imaginary")

    def __init__(
        self,
        width: int,
        units: int,
        r_min: float = 0.9,
        r_max: float = 0.999,
        turn: float = 0.314,
        conv: int = 0,
    ) -> None:
        super().__init__(width, conv)
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

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Turn inputs back, scan, turn states on."""
        x, window = self.convolved(x, state)
        steps = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)
        angle = steps[:, None] * self.theta.exp()  # (T, units)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        entered = self.stacked(x) * self.gamma.exp().repeat(2)  # (T, B, 2 · units)
        size = self.moduli(x, state).to(entered.dtype)
        turned = linear_scan(size, _turned(entered, cos, -sin), state[0].to(entered.dtype))
        states = _turned(turned, cos, sin)
        return self.out(states) + self.direct * x, (states[-1], *window)

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

    def moduli(self, x: Tensor, state: State) -> Tensor:
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
