"""What is resolved, what is lost, and that distances do not depend on what is lost."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from hyperprune.builtin.distances import DISTANCES, l2
from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import LyapunovSpectrum, distance_with_error, lyapunov_spectrum, rests_on
from hyperprune.lyapunov.record import ARRAYS
from hyperprune.lyapunov.resolution import resolution_of, weights_dtype
from hyperprune.recipe.records import Spectrum
from hyperprune.testing import tiny_spectrum

from .conftest import text


def record(rows: list[list[float]], layers: list[int], **what) -> LyapunovSpectrum:
    """A spectrum of given exponents by sequence, in the order that measured ones have."""
    per_sequence = torch.tensor(rows, dtype=torch.float64)
    like = replace(
        tiny_spectrum(0, layers=(1,)),
        per_sequence=per_sequence,
        layers=torch.tensor(layers),
        drift=torch.zeros(len(layers), dtype=torch.float64),
        **what,
    )
    return like.select(torch.arange(len(rows)))


# layer      0    1    1
# one      −1   −3  −20
# other    −1  −30   −6
PAIR = record([[-1.0, -3.0, -20.0], [-1.0, -30.0, -6.0]], [0, 1, 1])


@pytest.mark.parametrize(
    ("dtype", "steps", "expected"),
    [
        (torch.float32, 35, -8.0),  # ln(1.2e-7) / 2
        (torch.float32, 1, -16.0),  # a chain of one
        (torch.float64, 35, -8.0),  # the arithmetic closes longer chains
        (torch.float16, 35, -3.0),
        (torch.bfloat16, 35, -2.0),
    ],
)
def test_the_resolution_follows_from_the_weights(dtype, steps, expected) -> None:
    assert resolution_of(dtype, steps) == expected


def test_the_coarsest_weights_count() -> None:
    assert weights_dtype(object()) == torch.float64
    assert weights_dtype(nn.Linear(2, 2)) == torch.float32
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).bfloat16())
    assert weights_dtype(mixed) == torch.bfloat16


def test_lost_directions_are_counted_by_sequence_and_layer() -> None:
    assert PAIR.lost_directions.tolist() == [[0, 1], [0, 1]]
    assert PAIR.lost == 1.0


def test_a_resolved_spectrum_is_clipped_by_sequence_and_sorted_anew() -> None:
    """Means of −3 and −8, and of −8 and −6: the second now comes second."""
    assert PAIR.exponents.tolist() == [-1.0, -13.0, -16.5]
    resolved = PAIR.resolved()
    assert resolved.exponents.tolist() == [-1.0, -5.5, -7.0]
    assert resolved.lost == PAIR.lost
    assert resolved.resolved().exponents.tolist() == resolved.exponents.tolist()
    assert PAIR.raw().resolved().exponents.tolist() == PAIR.exponents.tolist()
    assert PAIR.raw().lost == 0


@pytest.mark.parametrize("name", sorted(DISTANCES))
@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-700, -8), min_size=3, max_size=3))
def test_no_distance_sees_the_value_of_a_lost_direction(name: str, values: list[float]) -> None:
    """One of four directions is lost in each sequence; what was put in its place does not matter."""
    reference = record([[-0.5, -1.0, -2.0, -3.0]] * 3, [0, 0, 1, 1])
    lost = record([[-0.4, -1.0, -2.0, value] for value in values], [0, 0, 1, 1])
    at_the_floor = record([[-0.4, -1.0, -2.0, -27.6]] * 3, [0, 0, 1, 1])
    metric = DISTANCES[name]
    assert metric(lost, reference) == metric(at_the_floor, reference)
    one, other = (distance_with_error(metric, item, reference) for item in (lost, at_the_floor))
    assert one == other
    assert (one.lost, one.reference_lost, one.exponents) == (1.0, 0.0, 4)


def test_raw_distances_are_there_for_the_asking() -> None:
    far = record([[-1.0, -20.0]] * 2, [0, 0])
    near = record([[-1.0, -3.0]] * 2, [0, 0])
    assert l2(far, near) == 5.0
    assert l2(far.raw(), near.raw()) == 17.0
    assert distance_with_error(l2, far, near, raw=True).value == 17.0


def test_the_coarser_of_two_resolutions_holds() -> None:
    fine = record([[-1.0, -20.0]] * 2, [0, 0])
    coarse = record([[-1.0, -1.5]] * 2, [0, 0], resolution=-2.0)
    assert l2(fine, coarse) == l2(coarse, fine) == 0.5


def test_what_a_comparison_rests_on() -> None:
    """Squares of the differences: 0, 0.04, 4, of which the last makes up 99 %; 0.04 and 0.04 share."""
    one = record([[0.0, -1.0, -2.0]], [0, 0, 0])
    assert rests_on(one, record([[0.0, -1.2, -4.0]], [0, 0, 0])) == 1
    assert rests_on(one, record([[0.0, -1.2, -2.2]], [0, 0, 0])) == 2
    assert rests_on(one, one) == 0
    assert rests_on(one, record([[0.0, -1.0]], [0, 0])) is None


def test_a_recipe_compares_resolved_spectra_unless_it_is_the_published_one() -> None:
    assert not Spectrum().raw
    assert Spectrum(exponents="raw").raw
    assert Spectrum(protocol="published", state="hidden").raw
    assert not Spectrum(protocol="published", state="hidden", exponents="resolved").raw


def test_a_measured_spectrum_knows_its_resolution(trained) -> None:
    model, inputs = trained("lstm", 1), text(30, 2, seed=4)
    assert lyapunov_spectrum(model, inputs).resolution == -8.0
    assert lyapunov_spectrum(model, inputs, resolution=-3.0).lost > 0
    hidden = lyapunov_spectrum(
        model, text(40, 2, seed=4), state_kind="hidden", protocol="published"
    )
    assert hidden.resolution == -math.inf
    bits = lyapunov_spectrum(
        model, text(40, 2, seed=4), state_kind="hidden", protocol="published", resolution=-3.0
    )
    assert bits.resolution == pytest.approx(-3.0 / math.log(2))  # said in nats, as ever
    assert bits.lost == float((hidden.per_sequence * math.log(2) <= -3.0).sum(1).double().mean())
    with pytest.raises(SpectrumError, match="resolution must be below 0"):
        lyapunov_spectrum(model, inputs, resolution=0.5)


@pytest.mark.parametrize(("protocol", "resolution"), [("standard", -8.0), ("published", -math.inf)])
def test_a_file_of_0_1_is_readable(tmp_path, protocol: str, resolution: float) -> None:
    spectrum = replace(tiny_spectrum(1), protocol=protocol)
    rest = {
        name: getattr(spectrum, name)
        for name in ("steps", "burn_in", "floored", "floor", "state_kind", "protocol", "dtype")
    }
    old = {"format": "hyperprune.lyapunov_spectrum/1", "spectrum": json.dumps(rest)}
    path = tmp_path / "old.safetensors"
    save_file({name: getattr(spectrum, name) for name in ARRAYS}, path, metadata=old)
    found = LyapunovSpectrum.load(path)
    assert torch.equal(found.exponents, spectrum.exponents)
    assert found.resolution == resolution


def test_no_resolution_is_kept_as_none(tmp_path) -> None:
    path = tmp_path / "raw.safetensors"
    PAIR.raw().save(path)
    assert LyapunovSpectrum.load(path).resolution == -math.inf
