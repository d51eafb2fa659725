"""The engine against explicit Jacobians and plain QR, on trained networks."""

import copy
from collections.abc import Callable

import pytest
import torch
from reference.qr_spectrum import oracle_published, oracle_standard
from torch import nn

from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum

from .conftest import text

Trained = Callable[..., nn.Module]
INPUTS = text(45, 2, seed=5)


class StepOnly:
    """A model with nothing but the required part, and its layers named."""

    def __init__(self, model: nn.Module) -> None:
        self.state_parts = model.state_parts
        self.initial_state, self.step = model.initial_state, model.step


def assert_equal_spectra(measured: LyapunovSpectrum, rows: torch.Tensor, tolerance: float) -> None:
    """Compare with unsorted exponents per sequence (B, n) of the oracle."""
    order = rows.mean(0).argsort(descending=True)
    assert (measured.exponents - rows.mean(0)[order]).abs().max() < tolerance
    assert (measured.per_sequence - rows[:, order]).abs().max() < tolerance


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", ["full", "hidden"])
def test_standard_protocol_on_a_trained_lstm(trained: Trained, layers: int, kind: str) -> None:
    model = trained("lstm", layers)
    rows, owners = oracle_standard(model, INPUTS, kind, burn_in=10)
    measured = lyapunov_spectrum(model, INPUTS, state_kind=kind)
    assert measured.steps == 35
    assert measured.floored == 0
    assert_equal_spectra(measured, rows, 1e-9)
    for layer, exponents in enumerate(measured.by_layer()):
        own = rows[:, owners == layer].mean(0).sort(descending=True).values
        assert (exponents - own).abs().max() < 1e-9
    from_step = lyapunov_spectrum(StepOnly(model), INPUTS, state_kind=kind)
    assert_equal_spectra(from_step, rows, 1e-9)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_published_protocol_on_a_trained_lstm(trained: Trained, layers: int) -> None:
    model = trained("lstm", layers)
    rows = oracle_published(model, INPUTS)
    measured = lyapunov_spectrum(model, INPUTS, state_kind="hidden", protocol="published")
    assert measured.steps == 35
    assert measured.layers.tolist() == [layer for layer in range(layers) for _ in range(12)]
    assert (measured.per_sequence - rows).abs().max() < 1e-9


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_other_cells(trained: Trained, cell: str) -> None:
    model = trained(cell, 2)
    rows, _ = oracle_standard(model, INPUTS, "full", burn_in=10)
    assert_equal_spectra(lyapunov_spectrum(model, INPUTS), rows, 1e-9)
    assert_equal_spectra(lyapunov_spectrum(model, INPUTS, state_kind="hidden"), rows, 1e-9)


@pytest.mark.parametrize("kind", ["full", "hidden"])
def test_float32_stays_within_its_documented_error(trained: Trained, kind: str) -> None:
    model = trained("lstm", 2)
    exact = lyapunov_spectrum(model, INPUTS, state_kind=kind)
    single = lyapunov_spectrum(model, INPUTS, state_kind=kind, dtype=torch.float32)
    error = single.exponents - exact.exponents
    assert error.abs().max() < 5e-3
    assert error.square().mean().sqrt() < 5e-4
    assert single.dtype == "float32"


@pytest.mark.parametrize("k", [1, 5, 11])
def test_leading_columns_are_those_of_the_whole(trained: Trained, k: int) -> None:
    """k columns of each layer are followed; R's leading columns do not depend on the others."""
    model = trained("lstm", 1)
    rows, _ = oracle_standard(model, INPUTS, "full", burn_in=10)
    leading = rows.mean(0)[:k].sort(descending=True).values
    for source in (model, StepOnly(model)):
        measured = lyapunov_spectrum(source, INPUTS, k=k)
        assert (measured.exponents - leading).abs().max() < 1e-9
        assert measured.per_sequence.shape == (2, k)


def test_embedded_inputs_and_a_given_state(trained: Trained) -> None:
    model = trained("lstm", 2)
    with torch.no_grad():
        embedded = model.embed(INPUTS)
        state = model.initial_state(2)
        for x_t in INPUTS[:7]:
            state = model.step(x_t, state)
    from_ids = lyapunov_spectrum(model, INPUTS[7:], state=state)
    from_vectors = lyapunov_spectrum(model, embedded[7:], state=state)
    assert torch.equal(from_ids.exponents, from_vectors.exponents)
    fresh = lyapunov_spectrum(model, INPUTS[7:])
    assert not torch.equal(from_ids.exponents, fresh.exponents)


def test_one_sequence_alone_equals_its_row(trained: Trained) -> None:
    model = trained("lstm", 2)
    together = lyapunov_spectrum(model, INPUTS, protocol="published", state_kind="hidden")
    alone = lyapunov_spectrum(model, INPUTS[:, 1:], protocol="published", state_kind="hidden")
    assert (alone.exponents - together.per_sequence[1]).abs().max() < 1e-10
    assert alone.standard_error.isnan().all()


def test_a_training_model_is_measured_in_evaluation_and_left_alone(trained: Trained) -> None:
    model = trained("lstm", 2)
    single = train_mode_copy(model)
    before = {name: value.clone() for name, value in single.state_dict().items()}
    measured = lyapunov_spectrum(single, INPUTS)
    assert single.training
    assert all(value.dtype == torch.float32 for value in single.parameters())
    assert all(torch.equal(value, before[name]) for name, value in single.state_dict().items())
    again = lyapunov_spectrum(single, INPUTS)
    assert torch.equal(measured.exponents, again.exponents)


def train_mode_copy(model: nn.Module) -> nn.Module:
    """The same network in float32 and training mode, with dropout switched on."""
    single = copy.deepcopy(model).float().train()
    single.dropout = 0.5
    single.requires_grad_(True)
    return single
