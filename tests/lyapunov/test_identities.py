"""Systems whose exponents are known, and identities that every spectrum obeys."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.qr_spectrum import jacobian
from torch import Tensor

from hyperprune.lyapunov import lyapunov_spectrum


class Map:
    """A plain map without inputs: state (B, n) -> state (B, n)."""

    def __init__(self, start: Tensor) -> None:
        self.start = start

    def initial_state(self, batch: int) -> Tensor:
        return self.start[:batch]

    def step(self, _: Tensor, state: Tensor) -> Tensor:
        raise NotImplementedError


def steps(count: int, batch: int) -> Tensor:
    """Inputs of an undriven system."""
    return torch.zeros(count, batch, 1)


class Henon(Map):
    def step(self, _: Tensor, state: Tensor) -> Tensor:
        x, y = state.unbind(-1)
        return torch.stack([1 - 1.4 * x**2 + y, 0.3 * x], -1)


class Lorenz(Map):
    """Lorenz-63 by one Runge–Kutta step of 0.02."""

    dt = 0.02

    def flow(self, state: Tensor) -> Tensor:
        x, y, z = state.unbind(-1)
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)

    def step(self, _: Tensor, state: Tensor) -> Tensor:
        a = self.flow(state)
        b = self.flow(state + self.dt / 2 * a)
        c = self.flow(state + self.dt / 2 * b)
        d = self.flow(state + self.dt * c)
        return state + self.dt / 6 * (a + 2 * b + 2 * c + d)


class Linear(Map):
    def __init__(self, A: Tensor) -> None:
        super().__init__(torch.zeros(4, len(A), dtype=A.dtype))
        self.A = A

    def step(self, _: Tensor, state: Tensor) -> Tensor:
        return state @ self.A.T


def test_henon() -> None:
    """(1.4, 0.3): 0.41922, −1.62319; their sum is ln 0.3 exactly, whatever the orbit."""
    start = 0.1 * torch.rand(2500, 2, generator=torch.Generator().manual_seed(3))
    measured = lyapunov_spectrum(Henon(start), steps(450, 2500), burn_in=50)
    assert measured.sum == pytest.approx(math.log(0.3), abs=1e-12)
    assert measured.standard_error.max() < 5e-4
    assert measured.exponents.tolist() == pytest.approx([0.41922, -1.62319], abs=1e-3)
    assert measured.kaplan_yorke == pytest.approx(1 + 0.41922 / 1.62319, abs=2e-3)


def test_lorenz() -> None:
    """0.906, 0, −14.57 a unit of time; the trace of the flow's derivative is −13.667 everywhere.

    The step of 0.02 changes volumes by 2e-3 more than the flow does.
    """
    flow = Lorenz(torch.randn(400, 3, generator=torch.Generator().manual_seed(4)) + 10)
    for _ in range(1000):  # on to the attractor
        flow.start = flow.step(flow.start, flow.start)
    measured = lyapunov_spectrum(flow, steps(700, 400), burn_in=200)
    exponents = measured.exponents / Lorenz.dt
    assert float(exponents.sum()) == pytest.approx(-(10 + 1 + 8 / 3), abs=3e-3)
    assert exponents.tolist() == pytest.approx([0.906, 0.0, -14.57], abs=0.02)


def test_constant_linear_map_has_the_logs_of_its_eigenvalues() -> None:
    X = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    D = torch.tensor([2.0, 0.9, -0.5, 0.1], dtype=torch.float64)
    A = X @ torch.diag(D) @ X.inverse()
    measured = lyapunov_spectrum(Linear(A), steps(400, 2), burn_in=200)
    expected = [math.log(value) for value in (2.0, 0.9, 0.5, 0.1)]
    assert measured.exponents.tolist() == pytest.approx(expected, abs=1e-12)
    assert measured.drift.max() < 1e-12


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 6), seed=st.integers(0, 999))
def test_orthogonal_maps_have_no_exponent_but_zero(n: int, seed: int) -> None:
    X = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    measured = lyapunov_spectrum(Linear(torch.linalg.qr(X).Q), steps(20, 1), burn_in=3)
    assert measured.exponents.abs().max() < 1e-13


@pytest.mark.parametrize("kind", ["full", "hidden"])
def test_sum_is_the_mean_log_determinant(trained, kind: str) -> None:
    model = trained("lstm", 2)
    inputs = torch.randint(0, 12, (20, 1), generator=torch.Generator().manual_seed(2))
    measured = lyapunov_spectrum(model, inputs, state_kind=kind, burn_in=0)
    chosen = [0, 1, 2, 3] if kind == "full" else [0, 2]
    state, total = model.initial_state(1), 0.0
    for x_t in inputs:
        total += float(torch.linalg.slogdet(jacobian(model, x_t, state, chosen)).logabsdet)
        with torch.no_grad():
            state = model.step(x_t, state)
    assert measured.sum == pytest.approx(total / 20, abs=1e-10)


def test_a_rank_deficient_contraction_is_floored_and_counted() -> None:
    """Of (x, y, z) -> (x/2, x/4, 0) two directions die at each of 10 steps in each of 4 sequences."""
    A = torch.tensor([[0.5, 0.0, 0.0], [0.25, 0.0, 0.0], [0.0, 0.0, 0.0]]).double()
    measured = lyapunov_spectrum(Linear(A), steps(10, 4), burn_in=0)
    assert measured.floored == 2 * 10 * 4
    assert measured.exponents.isfinite().all()
    # The first step turns the leading column to (2, 1, 0)/√5, after which each step shrinks it by 1/2.
    leading = math.log(0.5) + math.log(math.sqrt(1.25)) / 10
    assert measured.largest == pytest.approx(leading, abs=1e-12)
    assert measured.lost_directions.tolist() == [[2]] * 4
    assert measured.resolved().exponents.tolist() == [measured.largest, -8.0, -8.0]
    assert measured.kaplan_yorke == 0


def test_what_is_lost_does_not_depend_on_the_scale() -> None:
    """Three directions of four, times 1e5: ln 1e5 more each, and the fourth is still lost."""
    draw = torch.Generator().manual_seed(0)
    A = torch.randn(4, 3, dtype=torch.float64, generator=draw) @ torch.randn(
        3, 4, dtype=torch.float64, generator=draw
    )
    small, large = (lyapunov_spectrum(Linear(scale * A), steps(40, 1)) for scale in (1e-2, 1e3))
    assert small.lost == large.lost == 1
    assert small.floored == large.floored == 30
    gained = large.exponents[:3] - small.exponents[:3]
    assert gained.tolist() == pytest.approx([math.log(1e5)] * 3, abs=1e-10)


def test_a_small_factor_that_is_exact_is_not_floored() -> None:
    A = torch.diag(torch.tensor([1.0, 1e-13, 0.5, 1e-3], dtype=torch.float64))
    measured = lyapunov_spectrum(Linear(A), steps(20, 1), resolution=-math.inf)
    assert measured.floored == 0
    expected = [math.log(value) for value in (1.0, 0.5, 1e-3, 1e-13)]
    assert measured.exponents.tolist() == pytest.approx(expected, abs=1e-12)


def test_exponents_are_sorted_over_all_layers_and_within_each(trained) -> None:
    inputs = torch.randint(0, 12, (30, 3), generator=torch.Generator().manual_seed(2))
    measured = lyapunov_spectrum(trained("lstm", 2), inputs)
    assert (measured.exponents.diff() <= 0).all()
    assert all((layer.diff() <= 0).all() for layer in measured.by_layer())
    united = torch.cat(measured.by_layer()).sort(descending=True).values
    assert torch.equal(united, measured.exponents)
    assert measured.largest == measured.exponents[0]
    assert torch.allclose(measured.per_sequence.mean(0), measured.exponents, atol=1e-15)
