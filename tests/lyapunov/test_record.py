"""The spectrum as a record: views, saving, comparison."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import (
    LyapunovSpectrum,
    distance_with_error,
    kaplan_yorke,
    lyapunov_spectrum,
)
from hyperprune.lyapunov.record import ARRAYS, OPTIONAL

from .conftest import text


@pytest.fixture
def spectrum(trained) -> LyapunovSpectrum:
    return lyapunov_spectrum(trained("lstm", 2), text(40, 6, seed=3))


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([0.41922, -1.62319], 1 + 0.41922 / 1.62319),  # Hénon
        ([-14.57, 0.906, 0.0], 2 + 0.906 / 14.57),  # Lorenz-63, in any order
        ([-0.1, -0.2], 0.0),
        ([0.5, -0.1], 2.0),  # no sum turns negative
        ([0.0, -1.0], 1.0),
        ([1.0, -1.0, -2.0], 2.0),
    ],
)
def test_kaplan_yorke_dimension(exponents: list[float], dimension: float) -> None:
    assert kaplan_yorke(torch.tensor(exponents, dtype=torch.float64)) == pytest.approx(
        dimension, abs=1e-12
    )


def test_saves_and_loads_all_of_itself(spectrum: LyapunovSpectrum, tmp_path: Path) -> None:
    spectrum.save(tmp_path / "dense.safetensors")
    loaded = LyapunovSpectrum.load(tmp_path / "dense.safetensors")
    for entry in fields(spectrum):
        mine, other = getattr(spectrum, entry.name), getattr(loaded, entry.name)
        if entry.name in (*ARRAYS, *OPTIONAL):
            assert mine is other is None or torch.equal(mine.nan_to_num(), other.nan_to_num())
        else:
            assert mine == other


def test_reading_anything_else_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SpectrumError, match=r"missing\.safetensors"):
        LyapunovSpectrum.load(tmp_path / "missing.safetensors")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(SpectrumError, match="cannot read"):
        LyapunovSpectrum.load(tmp_path / "text")
    save_file({"weights": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(SpectrumError, match="holds no Lyapunov spectrum"):
        LyapunovSpectrum.load(tmp_path / "weights.safetensors")


def test_a_selection_is_what_its_sequences_alone_would_give(trained) -> None:
    inputs = text(40, 6, seed=3)
    whole = lyapunov_spectrum(trained("lstm", 2), inputs)
    chosen = torch.tensor([1, 4])
    alone = lyapunov_spectrum(trained("lstm", 2), inputs[:, chosen])
    selected = whole.select(chosen)
    assert (selected.exponents - alone.exponents).abs().max() < 1e-10
    assert (selected.standard_error - alone.standard_error).abs().max() < 1e-10
    assert torch.equal(selected.layers, alone.layers)
    assert selected.sequences == 2


def l2(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    return float((candidate.exponents - reference.exponents).norm())


def shifted(spectrum: LyapunovSpectrum, rows: torch.Tensor) -> LyapunovSpectrum:
    moved = spectrum.per_sequence + rows
    return replace(spectrum, per_sequence=moved, exponents=moved.mean(0))


def test_a_distance_by_hand() -> None:
    """One exponent, two sequences: 0 and 0 against 1 and 3.

    The distance is 2, leaving one sequence out gives 3 and 1, so the jackknife says 1; one half
    against the other is 0 for the one and 2 for the other, whose mean is 1.
    """
    base = LyapunovSpectrum(
        exponents=torch.zeros(1),
        standard_error=torch.zeros(1),
        drift=torch.zeros(1),
        per_sequence=torch.zeros(2, 1),
        layers=torch.zeros(1, dtype=torch.int64),
        steps=1,
        burn_in=0,
        floored=0,
        floor=1e-12,
        state_kind="full",
        protocol="standard",
        dtype="float64",
    )
    found = distance_with_error(l2, shifted(base, torch.tensor([[1.0], [3.0]])), base)
    assert (found.value, found.standard_error, found.noise) == pytest.approx((2.0, 1.0, 1.0))
    alone = base.select(torch.tensor([0]))
    assert distance_with_error(l2, alone, alone).standard_error is None
    assert distance_with_error(l2, alone, alone).noise is None


def test_what_all_sequences_share_is_no_error(spectrum: LyapunovSpectrum) -> None:
    """A constant shift of every sequence moves the distance and leaves its error at 0."""
    moved = shifted(spectrum, torch.tensor(0.1).double())
    found = distance_with_error(l2, moved, spectrum, raw=True)
    assert found.value == pytest.approx(0.1 * len(spectrum.exponents) ** 0.5)
    assert found.standard_error == pytest.approx(0, abs=1e-12)
    assert found.noise is not None
    assert found.noise > 0


@pytest.mark.parametrize("what", [{"state_kind": "hidden"}, {"protocol": "published"}])
def test_different_objects_are_not_compared(spectrum: LyapunovSpectrum, what: dict) -> None:
    with pytest.raises(SpectrumError, match=f"different {next(iter(what))}"):
        distance_with_error(l2, spectrum, replace(spectrum, **what))
