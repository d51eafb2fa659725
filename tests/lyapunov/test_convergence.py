"""Error estimates and the stop when both are small enough."""

import pytest
import torch
from torch import Tensor

from hyperprune.lyapunov import lyapunov_spectrum
from hyperprune.lyapunov.convergence import block_ends, block_error
from hyperprune.lyapunov.spectrum import CHECK_EVERY, _converged, _segments, drift, means
from hyperprune.lyapunov.tangent import SEGMENT

from .conftest import text


def parts(logs: Tensor) -> list[tuple[int, Tensor]]:
    """Logs of single steps (T, B, n) as the engine's parts."""
    return [(1, step) for step in logs]


def test_means_and_drift_by_hand() -> None:
    """First half 1, 3, second half 4, 6: means 2 and 5, half their difference 1.5."""
    logs = torch.tensor([1.0, 3.0, 4.0, 6.0])[:, None, None]
    for counted in (parts(logs), [(2, logs[:2].sum(0)), (2, logs[2:].sum(0))]):
        assert means(counted).tolist() == [[3.5]]
        assert drift(counted).tolist() == [1.5]
    assert drift(parts(logs[:1])).isnan().all()


@pytest.mark.parametrize("tolerance", [None, 0.1])
@pytest.mark.parametrize(("burn_in", "length"), [(10, 45), (0, 1), (10, 11), (3, 40), (7, 100)])
def test_segments_cover_every_step_and_end_where_a_half_does(burn_in, length, tolerance) -> None:
    segments = list(_segments(length, burn_in, tolerance))
    found = [piece for segment in segments for piece in segment]
    assert [step for s in found for step in range(s.start, s.stop)] == list(range(length))
    ends = {s.stop for s in found if s.settle} | {0}
    counts = [length - burn_in]
    if tolerance is not None:
        counts += range(CHECK_EVERY, length - burn_in, CHECK_EVERY)
    for count in counts:
        assert {burn_in, burn_in + count // 2, burn_in + count} <= ends
    assert max(segment[-1].stop - segment[0].start for segment in segments) <= SEGMENT
    if tolerance is not None:
        checks = {burn_in + count for count in counts}
        assert checks <= {segment[-1].stop for segment in segments}


def test_both_estimates_must_be_small() -> None:
    steady = torch.zeros(4, 3, 1)
    apart = parts(steady + torch.tensor([0.0, 1.0, 2.0])[:, None])  # sequences differ, no drift
    drifting = parts(steady + torch.arange(4.0)[:, None, None])  # sequences agree
    assert _converged(parts(steady), 1e-6)
    assert not _converged(apart, 0.5)
    assert _converged(apart, 0.6)  # 1/√3 = 0.577
    assert not _converged(drifting, 0.9)
    assert _converged(drifting, 1.1)


def test_standard_error_is_that_of_the_mean_over_sequences(trained) -> None:
    measured = lyapunov_spectrum(trained("lstm", 1), text(40, 5, seed=3))
    expected = measured.per_sequence.std(0) / 5**0.5
    assert torch.allclose(measured.standard_error, expected)
    assert measured.drift.shape == measured.exponents.shape
    assert (measured.drift >= 0).all()


def test_a_tolerance_stops_early_at_two_checks_in_a_row(trained) -> None:
    model, inputs = trained("lstm", 1), text(310, 6, seed=3)
    whole = lyapunov_spectrum(model, inputs, k=3)
    assert whole.steps == 300
    loose = lyapunov_spectrum(model, inputs, k=3, tolerance=10.0)
    assert loose.steps == 20
    prefix = lyapunov_spectrum(model, inputs, k=3, steps=20)
    assert (loose.exponents - prefix.exponents).abs().max() < 1e-12
    middle = lyapunov_spectrum(model, inputs, k=3, tolerance=0.05)
    assert 20 <= middle.steps < 300
    assert middle.standard_error.max() < 0.05
    assert middle.drift.max() < 0.05
    never = lyapunov_spectrum(model, inputs, k=3, tolerance=1e-9)
    assert never.steps == 300
    assert (never.exponents - whole.exponents).abs().max() < 1e-12


def test_a_tolerance_is_per_unit_of_time(trained) -> None:
    model, inputs = trained("lstm", 1), text(110, 6, seed=3)
    steps = lyapunov_spectrum(model, inputs, k=3, tolerance=0.04)
    time = lyapunov_spectrum(model, inputs, k=3, tolerance=0.08, dt=0.5)  # 0.04 a step
    assert 20 < steps.steps < 100
    assert time.steps == steps.steps
    assert 0.04 < time.standard_error.max() < 0.08


def test_the_largest_exponents_alone_must_be_settled() -> None:
    # the first is steady, the second drifts and is smaller
    logs = torch.stack([torch.zeros(4, 3), torch.arange(4.0)[:, None] - 9 + torch.zeros(4, 3)], -1)
    assert _converged(parts(logs), 0.1, k=1)
    assert not _converged(parts(logs), 0.1)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_caller_keeps_its_threads_and_its_bits(trained, threads: int) -> None:
    model, inputs = trained("lstm", 2), text(30, 4, seed=3)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first, second = (lyapunov_spectrum(model, inputs) for _ in range(2))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(first.per_sequence, second.per_sequence)


def blocks(values: list[float]) -> tuple[float, float]:
    """Error and autocorrelation time of blocks of one step, one sequence and one exponent."""
    ends = list(range(1, len(values) + 1))
    running = torch.tensor(values).double().cumsum(0) / torch.tensor(ends)
    error, time = block_error(running[:, None, None], ends)
    return float(error), float(time)


def test_block_errors_by_hand() -> None:
    """1, 3, 1, 3: variance 4/3 of 4 blocks, too few to pair. 1, 1, 1, 1, 3, 3, 3, 3: 8/7 of 8 blocks gives
    1/7, in pairs 4/3 of 4 gives 1/3: the mean is worth 7/3 times fewer steps."""
    assert blocks([1, 3, 1, 3]) == pytest.approx(((1 / 3) ** 0.5, 1.0))
    assert blocks([1, 1, 1, 1, 3, 3, 3, 3]) == pytest.approx(((1 / 3) ** 0.5, 7 / 3))
    assert blocks([2, 2, 2, 2]) == (0.0, 0.0)
    assert blocks([1, 3, 1])[0] != blocks([1, 3, 1])[0]  # NaN: too few


def test_few_steps_have_no_blocks_unless_asked_for() -> None:
    assert block_ends(35, wanted=False) == []
    assert block_ends(35, wanted=True)[-1] == 35
    assert block_ends(4, wanted=True) == [1, 2, 3, 4]
    assert len(block_ends(320, wanted=False)) == 32


def test_a_history_changes_no_exponent(trained) -> None:
    model, inputs = trained("lstm", 2), text(45, 2, seed=6)
    plain, kept = (lyapunov_spectrum(model, inputs, history=told) for told in (False, True))
    assert (plain.exponents - kept.exponents).abs().max() < 1e-11
    assert plain.history is None
    assert kept.history is not None
    assert (kept.history[-1] - kept.exponents).abs().max() < 1e-12
    assert kept.history_steps[-1] == 35
