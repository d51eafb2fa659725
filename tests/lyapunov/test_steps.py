"""Steps as people write them: supported, or refused in one clear sentence."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import lyapunov_spectrum

INPUTS = torch.randn(30, 3, 2, generator=torch.Generator().manual_seed(0))
W = 0.6 * torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).double()
U = torch.randn(4, 2, generator=torch.Generator().manual_seed(2)).double()


class Plain:
    """h' = tanh(W h + U x): a step that does everything as it should."""

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 4)

    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(h @ W.T + x_t @ U.T)


class Cut(Plain):
    def __init__(self, cut: str) -> None:
        self.cut = cut

    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        if self.cut == "no_grad":
            with torch.no_grad():
                return super().step(x_t, h)
        if self.cut == "detach":
            return super().step(x_t, h.detach())
        if self.cut == "half of it detached":
            return torch.tanh(torch.cat([h[:, :2], h[:, 2:].detach()], -1) @ W.T + x_t @ U.T)
        return torch.from_numpy(np.tanh(h.detach().numpy() @ W.numpy().T + (x_t @ U.T).numpy()))


@pytest.mark.parametrize("cut", ["no_grad", "detach", "half of it detached", "numpy"])
def test_a_step_that_cuts_the_gradient_is_no_dead_network(cut: str) -> None:
    with pytest.raises(SpectrumError, match="does not see all of step"):
        lyapunov_spectrum(Cut(cut), INPUTS)


class Forgetful(Plain):
    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(x_t @ U.T) + 0 * h


def test_a_step_that_does_forget_its_state_is_measured() -> None:
    measured = lyapunov_spectrum(Forgetful(), INPUTS)
    assert measured.lost == 4


class Rounded(Plain):
    """A step that computes in single precision."""

    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return super().step(x_t, h).float()


class InPlace(Plain):
    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        h.copy_(torch.tanh(h @ W.T + x_t @ U.T))
        return h


class Listed(Plain):
    """h and what it was a step before, in a list."""

    def initial_state(self, batch: int) -> list[Tensor]:  # type: ignore[override]
        return [torch.zeros(batch, 4)]

    def step(self, x_t: Tensor, state: list[Tensor]) -> list[Tensor]:  # type: ignore[override]
        assert isinstance(state, list)
        return [super().step(x_t, state[0])]


@pytest.mark.parametrize("kind", [Rounded, InPlace, Listed])
def test_ways_to_write_a_step_that_are_all_one(kind: type[Plain]) -> None:
    expected = lyapunov_spectrum(Plain(), INPUTS)
    measured = lyapunov_spectrum(kind(), INPUTS)
    tolerance = 1e-5 if kind is Rounded else 1e-12
    assert (measured.exponents - expected.exponents).abs().max() < tolerance
    assert measured.lost == expected.lost


class Mixes(Plain):
    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return super().step(x_t, h - 0.01 * h.mean(0))


class Noisy(Plain):
    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return super().step(x_t, nn.functional.dropout(h, 0.5))


class Complex(Plain):
    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 4, dtype=torch.complex64)


class Integer(Plain):
    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 4, dtype=torch.int64)


class Nested(Plain):
    def initial_state(self, batch: int) -> list[tuple[Tensor, ...]]:  # type: ignore[override]
        return [(torch.zeros(batch, 4), torch.zeros(batch, 4))]


class Named(Plain):
    def initial_state(self, batch: int) -> dict[str, Tensor]:  # type: ignore[override]
        return {"h": torch.zeros(batch, 4)}


class SingleWeights(Plain):
    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(h @ W.float().T)


class Raises(Plain):
    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return h.nothing  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Mixes, "step mixes sequences"),
        (Noisy, "step is not deterministic"),
        (Complex, "real and floating point, not torch.complex64: split it into real and imaginary"),
        (Integer, "not torch.int64: make it float"),
        (Nested, r"flat tuple of tensors \(B, n_i\); it holds a tuple"),
        (Named, "a tuple or list of them, not dict"),
        (SingleWeights, "must keep its weights as float64"),
        (Raises, "step failed on a state it should take: .*nothing"),
    ],
)
def test_one_clear_sentence(kind: type[Plain], message: str) -> None:
    with pytest.raises(SpectrumError, match=message):
        lyapunov_spectrum(kind(), INPUTS)


class Kinked(Plain):
    """A piecewise linear network is measured, kinks or no kinks."""

    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        return torch.relu(h @ W.T + x_t @ U.T)


def test_kinks_are_no_cut() -> None:
    assert lyapunov_spectrum(Kinked(), INPUTS).exponents.isfinite().all()
