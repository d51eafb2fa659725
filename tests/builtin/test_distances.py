"""Each shipped distance on spectra small enough to work out by hand, and its invariances."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperprune.builtin.distances import (
    DISTANCES,
    kaplan_yorke,
    l1,
    l2,
    layerwise_l2,
    relative,
    top_k,
    wasserstein,
)
from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import LyapunovSpectrum


def spectrum(
    *layers: list[float], kind: str = "full", protocol: str = "standard"
) -> LyapunovSpectrum:
    """A spectrum of one sequence from the exponents of each layer."""
    values = torch.tensor([value for layer in layers for value in layer], dtype=torch.float64)
    owners = torch.tensor([index for index, layer in enumerate(layers) for _ in layer])
    order = values.argsort(descending=True, stable=True)
    return LyapunovSpectrum(
        exponents=values[order],
        standard_error=torch.zeros_like(values),
        drift=torch.zeros_like(values),
        per_sequence=values[order][None],
        layers=owners[order],
        steps=35,
        burn_in=10,
        floored=0,
        floor=1e-12,
        state_kind=kind,
        protocol=protocol,
        dtype="float64",
    )


REFERENCE = spectrum([0.0, -2.0], [-1.0, -3.0])
# Sorted over all: 1, −1, −1, −3 against 0, −1, −2, −3; by layer: (1, −1) and (−1, −3).
CANDIDATE = spectrum([1.0, -1.0], [-1.0, -3.0])


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (l2, 2**0.5),  # differences 1, 0, 1, 0
        (l1, 2.0),
        (relative, (2 / 14) ** 0.5),  # ‖(0, 1, 2, 3)‖² = 14
        (layerwise_l2, 2**0.5),
        (lambda a, b: top_k(a, b, k=1), 1.0),  # 1 against 0, −1 against −1
        (wasserstein, 0.5**0.5),  # first layer 1, second 0, mean of squares 1/2
        (lambda a, b: wasserstein(a, b, order=1), 0.5),
        (kaplan_yorke, 2.0 - 1.0),  # sums 1, 0, −1 and 0, −1
    ],
)
def test_by_hand(distance, expected: float) -> None:
    assert distance(CANDIDATE, REFERENCE) == pytest.approx(expected, abs=1e-12)


def test_wasserstein_of_different_widths_by_hand() -> None:
    """Quantiles of (0, −3) and (0, −1, −2), in sixths: 0 0 0 −3 −3 −3 against 0 0 −1 −1 −2 −2."""
    found = wasserstein(spectrum([0.0, -3.0]), spectrum([0.0, -1.0, -2.0]))
    assert found == pytest.approx(((1 + 4 + 1 + 1) / 6) ** 0.5)
    assert wasserstein(spectrum([0.0, -3.0]), spectrum([0.0, 0.0, -3.0, -3.0])) == 0


values = st.lists(st.floats(-20, 2), min_size=4, max_size=4)


@pytest.mark.parametrize("name", sorted(DISTANCES))
@given(a=values, b=values)
def test_non_negative_zero_on_itself_and_symmetric(name: str, a: list, b: list) -> None:
    distance = DISTANCES[name]
    mine, other = spectrum(a[:2], a[2:]), spectrum(b[:2], [*b[2:3], b[3] - 1e-3])
    if name == "relative" and not other.exponents.any():
        return
    assert distance(other, other) == 0
    found = distance(mine, other)
    assert found >= 0
    if name != "relative":
        assert found == pytest.approx(distance(other, mine), abs=1e-9)


@given(a=values, b=values, c=values)
def test_triangle(a: list, b: list, c: list) -> None:
    for distance in (l2, l1, layerwise_l2, wasserstein, top_k):
        x, y, z = (spectrum(v[:2], v[2:]) for v in (a, b, c))
        assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-9


def test_l2_does_not_see_layers_and_layerwise_does() -> None:
    swapped = spectrum([-1.0, -3.0], [0.0, -2.0])
    assert l2(swapped, REFERENCE) == 0
    assert layerwise_l2(swapped, REFERENCE) == 2.0
    assert wasserstein(swapped, REFERENCE) == 1.0


def test_relative_does_not_see_the_unit() -> None:
    double = (spectrum([2.0, -2.0], [-2.0, -6.0]), spectrum([0.0, -4.0], [-2.0, -6.0]))
    assert relative(*double) == pytest.approx(relative(CANDIDATE, REFERENCE))
    with pytest.raises(SpectrumError, match="every exponent of the reference is 0"):
        relative(CANDIDATE, spectrum([0.0, 0.0], [0.0, 0.0]))


def test_top_k_does_not_see_what_lies_below() -> None:
    assert top_k(spectrum([0.0, -9.0], [-1.0, -8.0]), REFERENCE, k=1) == 0
    assert top_k(CANDIDATE, REFERENCE, k=50) == layerwise_l2(CANDIDATE, REFERENCE)


@pytest.mark.parametrize("name", sorted(DISTANCES))
@pytest.mark.parametrize("what", [{"kind": "hidden"}, {"protocol": "published"}])
def test_different_objects_are_refused(name: str, what: dict) -> None:
    with pytest.raises(SpectrumError, match="different objects"):
        DISTANCES[name](spectrum([0.0, -2.0], [-1.0, -3.0], **what), REFERENCE)


@pytest.mark.parametrize("name", ["l2", "l1", "relative", "layerwise_l2", "top_k"])
def test_different_lengths_are_refused(name: str) -> None:
    with pytest.raises(SpectrumError, match="exponents"):
        DISTANCES[name](spectrum([0.0, -2.0], [-1.0]), REFERENCE)


@pytest.mark.parametrize("name", ["layerwise_l2", "top_k", "wasserstein"])
def test_different_depths_are_refused(name: str) -> None:
    with pytest.raises(SpectrumError, match=r"layers \[0\] and \[0, 1\] cannot be paired"):
        DISTANCES[name](spectrum([0.0, -1.0, -2.0, -3.0]), REFERENCE)
    # the leading exponent alone, which is another layer's
    with pytest.raises(SpectrumError, match=r"layers \[0\] and \[1\] cannot be paired"):
        DISTANCES[name](spectrum([-1.0]), spectrum([], [-1.0]))
