"""Systems whose exponents are published or exact, each with its source.

Sprott: J. C. Sprott, Chaos and Time-Series Analysis, Oxford 2003, appendix A. Exponents of maps are in
nats a step, those of flows in nats a unit of time; flows take Runge–Kutta steps of the fourth order.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum

Flow = Callable[[Tensor], Tensor]


def uniform(count: int, *bounds: tuple[float, float]) -> Tensor:
    """Starting points (count, n) drawn from a box."""
    draw = torch.rand(
        count, len(bounds), dtype=torch.float64, generator=torch.Generator().manual_seed(5)
    )
    low, high = torch.tensor(bounds, dtype=torch.float64).T
    return low + (high - low) * draw


def rk4(flow: Flow, dt: float) -> Flow:
    """One Runge–Kutta step of a flow."""

    def step(s: Tensor) -> Tensor:
        a = flow(s)
        b = flow(s + dt / 2 * a)
        c = flow(s + dt / 2 * b)
        return s + dt / 6 * (a + 2 * b + 2 * c + flow(s + dt * c))

    return step


def run(
    step: Flow, start: Tensor, steps: int, settle: int = 100, **more: float
) -> LyapunovSpectrum:
    """Let the system settle, then measure."""
    for _ in range(settle):
        start = step(start)
    return lyapunov_spectrum(step, state=start, steps=steps, burn_in=20, **more)


def logistic(s: Tensor) -> Tensor:
    return 4 * s * (1 - s)


def lozi(s: Tensor) -> Tensor:
    x, y = s.unbind(-1)
    return torch.stack([1 - 1.7 * x.abs() + y, 0.5 * x], -1)


def ikeda(s: Tensor) -> Tensor:
    x, y = s.unbind(-1)
    t = 0.4 - 6 / (1 + x**2 + y**2)
    c, n = t.cos(), t.sin()
    return torch.stack([1 + 0.9 * (x * c - y * n), 0.9 * (x * n + y * c)], -1)


def towel(s: Tensor) -> Tensor:
    x, y, z = s.unbind(-1)
    fold = (y + 0.35) * (1 - 2 * z)
    return torch.stack(
        [
            3.8 * x * (1 - x) - 0.05 * fold,
            0.1 * (fold - 1) * (1 - 1.9 * x),
            3.78 * z * (1 - z) + 0.2 * y,
        ],
        -1,
    )


def cat(s: Tensor) -> Tensor:
    return (s @ torch.tensor([[1.0, 1.0], [1.0, 2.0]], dtype=s.dtype)).remainder(1.0)


def baker(s: Tensor) -> Tensor:
    x, y = s.unbind(-1)
    right = (2 * x).detach().floor()
    return torch.stack([2 * x - right, (y + right) / 2], -1)


def standard(k: float) -> Flow:
    def step(s: Tensor) -> Tensor:
        x, p = s.unbind(-1)
        p = p + k * x.sin()
        return torch.stack([x + p, p], -1)

    return step


@pytest.mark.parametrize(
    ("step", "start", "expected", "tolerance"),
    [
        # conjugate to the tent map: ln 2 exactly (Ulam & von Neumann 1947)
        (logistic, uniform(1000, (0.05, 0.95)), [math.log(2)], 0.01),
        # exact: logs of the eigenvalues (3 ± √5)/2 (Arnold & Avez 1968)
        (cat, uniform(5, (0, 1), (0, 1)), [0.962424, -0.962424], 1e-6),
        # exact: it stretches by 2 and squeezes by 2
        (baker, uniform(5, (0, 1), (0, 1)), [math.log(2), -math.log(2)], 1e-9),
        # Sprott, A.2.4; their sum is ln 0.5
        (lozi, uniform(1000, (-0.1, 0.1), (-0.1, 0.1)), [0.4702, -1.1633], 0.005),
        # Sprott, A.2.6; their sum is 2 ln 0.9
        (ikeda, uniform(1000, (0, 0.2), (0, 0.2)), [0.5076, -0.7183], 0.01),
        # Rössler's folded towel (1979); values as in the manual of ChaosTools.jl
        (
            towel,
            torch.tensor([0.085, -0.121, 0.075]).double() + 1e-3 * uniform(1000, *[(0, 1)] * 3),
            [0.4323, 0.3716, -3.2963],
            0.01,
        ),
        # ln(k/2), up to terms that vanish for large k (Chirikov, Phys. Rep. 52, 1979)
        (standard(20.0), uniform(500, (0, 6.28), (0, 6.28)), [math.log(10), -math.log(10)], 0.03),
    ],
    ids=["logistic", "cat", "baker", "lozi", "ikeda", "folded towel", "standard"],
)
def test_maps(step: Flow, start: Tensor, expected: list[float], tolerance: float) -> None:
    measured = run(step, start, 100)
    assert measured.exponents.tolist() == pytest.approx(expected, abs=tolerance)
    assert measured.unit == "nats per step"


def rossler(s: Tensor) -> Tensor:
    x, y, z = s.unbind(-1)
    return torch.stack([-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)], -1)


def ueda(s: Tensor) -> Tensor:
    """Duffing's oscillator without a linear spring, as Ueda drove it; its phase is a coordinate."""
    x, v, phase = s.unbind(-1)
    return torch.stack([v, -0.05 * v - x**3 + 7.5 * phase.sin(), torch.ones_like(x)], -1)


@pytest.mark.parametrize(
    ("flow", "dt", "start", "expected", "tolerance"),
    [
        # Sprott, A.5.2
        (rossler, 0.04, uniform(150, (-5, 5), (-5, 5), (0, 1)), [0.0714, 0.0, -5.3943], 0.04),
        # Sprott, A.4.2
        (ueda, 0.05, uniform(200, (-2, 2), (-2, 2), (0, 6.28)), [0.1034, 0.0, -0.1534], 0.02),
    ],
    ids=["rossler", "ueda-duffing"],
)
def test_flows(
    flow: Flow, dt: float, start: Tensor, expected: list[float], tolerance: float
) -> None:
    measured = run(rk4(flow, dt), start, 600, settle=1000, dt=dt)
    assert measured.exponents.tolist() == pytest.approx(expected, abs=tolerance)
    assert measured.unit == "nats per unit of time"
    assert measured.resolution == -8 / dt


def coupled(s: Tensor) -> Tensor:
    """Three standard maps (k = 0.5) in a ring, coupled by 1 (Altmann & Kantz 2007)."""
    x, p = s.chunk(2, -1)
    force = 0.5 * x.sin()
    for turn in (1, -1):
        force = force - (x.roll(turn, -1) - x).sin()
    p = p + force
    return torch.cat([x + p, p], -1)


def henon_heiles(s: Tensor) -> Tensor:
    """Motion in (x² + y²)/2 + x² y − y³/3 (Hénon & Heiles 1964)."""
    x, y, u, v = s.unbind(-1)
    return torch.stack([u, v, -x - 2 * x * y, -y - x**2 + y**2], -1)


@pytest.mark.parametrize(
    ("step", "start", "dt", "tolerance"),
    [
        (coupled, uniform(5, *[(0, 6.28)] * 6), 1.0, 1e-3),
        (rk4(henon_heiles, 0.1), 0.3 * uniform(5, *[(-1, 1)] * 4), 0.1, 1e-3),
    ],
    ids=["coupled standard maps", "henon-heiles"],
)
def test_exponents_of_hamiltonian_systems_come_in_pairs(
    step: Flow, start: Tensor, dt: float, tolerance: float
) -> None:
    """λ and −λ, for any orbit and time but for what Q₀ = I leaves at its ends (Benettin et al. 1980)."""
    measured = run(step, start, 2000, dt=dt)
    assert abs(measured.sum) < 1e-5
    pairs = measured.exponents + measured.exponents.flip(0)
    assert pairs.abs().max() < 20 * tolerance
    assert measured.largest > 0


@pytest.mark.parametrize(("gain", "chaos"), [(0.5, False), (2.0, True), (5.0, True)])
def test_random_tanh_networks(gain: float, chaos: bool) -> None:
    """h' = tanh(g J h), J_ij ~ N(0, 1/N): chaos above g = 1 (Sompolinsky, Crisanti & Sommers 1988).

    Below, the state dies out and the exponents are the logs of g J's eigenvalues exactly.
    """
    N = 60
    draw = torch.Generator().manual_seed(7)
    J = gain * torch.randn(N, N, dtype=torch.float64, generator=draw) / N**0.5
    start = torch.randn(2, N, dtype=torch.float64, generator=draw)
    measured = run(lambda h: torch.tanh(h @ J.T), start, 300)
    if chaos:
        assert measured.largest > 5 * measured.standard_error[0]
        assert 1 < measured.kaplan_yorke < N
    else:
        expected = torch.linalg.eigvals(J).abs().log().sort(descending=True).values
        assert (measured.exponents - expected).abs().max() < 0.05


def test_a_system_without_inputs_has_one_step_and_a_beginning() -> None:
    class Cat:
        def initial_state(self, batch: int) -> Tensor:
            return uniform(batch, (0, 1), (0, 1))

        def step(self, s: Tensor) -> Tensor:
            return cat(s)

    assert lyapunov_spectrum(Cat(), steps=50).largest == pytest.approx(0.962424, abs=1e-6)
    with pytest.raises(SpectrumError, match="say how long: steps="):
        lyapunov_spectrum(Cat())
    with pytest.raises(SpectrumError, match="where does the system start"):
        lyapunov_spectrum(cat, steps=50)
    with pytest.raises(SpectrumError, match="dt must be above 0"):
        lyapunov_spectrum(Cat(), steps=50, dt=0.0)


class Linear(nn.Module):
    """s' = W s in single precision, with dropout while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.5, 0.125], [0.0, 0.25]]))
        self.drop = nn.Dropout(0.5)

    def forward(self, s: Tensor) -> Tensor:
        found: Tensor = self.drop(s) @ self.weight.T
        return found


class Stepping(Linear):
    def initial_state(self, batch: int) -> Tensor:
        return torch.ones(batch, 2)

    def step(self, s: Tensor) -> Tensor:
        return self(s)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "start"),
    [(Linear(), torch.ones(3, 2)), (Stepping(), None), (Stepping(), torch.ones(3, 2))],
)
def test_a_module_is_measured_as_float64_in_evaluation_mode(
    module: nn.Module, start: Tensor | None
) -> None:
    """A map that nothing drives, too; the logs of a triangular matrix's diagonal are exact."""
    measured = lyapunov_spectrum(module, state=start, steps=20, burn_in=0)
    assert measured.exponents.tolist() == pytest.approx([math.log(0.5), math.log(0.25)], abs=1e-12)
    assert measured.resolution == -8
    assert module.training
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_blocks_warn_where_halves_do_not() -> None:
    """The standard map at k = 1 sticks to its islands: one orbit's mean over 2,000 steps is off by more
    than its halves say, and blocks of steps know it."""
    start = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    alone = lyapunov_spectrum(standard(1.0), state=start, steps=2000, history=True)
    assert alone.block_error is not None
    assert alone.autocorrelation_time is not None
    assert alone.block_error[0] > 0.01
    assert alone.autocorrelation_time[0] > 62  # longer than a block
    assert alone.history is not None
    assert alone.history.shape == (32, 2)
    assert alone.history_steps[-1] == 2000
    assert torch.allclose(alone.history[-1], alone.exponents, atol=1e-12)


def test_dimension_and_entropy_have_errors_and_a_notebook_draws_them() -> None:
    measured = run(lozi, uniform(50, (-0.1, 0.1), (-0.1, 0.1)), 50)
    assert measured.entropy == measured.largest
    assert measured.entropy_error == pytest.approx(float(measured.standard_error[0]), rel=1e-5)
    assert 0 < measured.kaplan_yorke_error < 0.05
    page = measured._repr_html_()
    assert page.count("<circle") == 2
    assert f"{measured.largest:.5g}" in page
