"""Numbers to be answered, and series to be foretold, against who does not look."""

from __future__ import annotations

import pytest
import torch

from hyperprune.builtin.corpora.generated import adding, copying, mackey_glass, parity
from hyperprune.builtin.tasks.regression import Forecasting, Regression
from hyperprune.corpus import Part, Sequences, padded
from hyperprune.errors import CorpusError
from hyperprune.task import Cut


def data(rows, y=None):
    x, lengths = padded([torch.tensor(row).unsqueeze(1) for row in rows])
    part = Part(x, lengths, y)
    return Sequences("few", part, part, part)


def forecasting(found, loss="squared", horizon=1):
    return Forecasting(found, loss, horizon, "forecasting")


#  x   1 3 6 | 2 2       one step ahead: targets 3 6 | 2
SERIES = [[1.0, 3.0, 6.0], [2.0, 2.0]]


def test_targets_are_the_series_some_steps_later():
    (batch,) = forecasting(data(SERIES)).heldout(Cut(batch=2, bptt=9), "valid")
    assert batch.inputs[..., 0].t().tolist() == [[1, 3], [2, 0]]
    assert batch.targets[..., 0].t().tolist() == [[3, 6], [2, 0]]
    assert batch.scored == (2, 1)


def test_the_naive_forecast_expects_what_is_now():
    """Errors 2, 3 and 0: squares 4, 9 and 0."""
    assert forecasting(data(SERIES)).unigram() == pytest.approx(13 / 3)
    assert forecasting(data(SERIES), "absolute").unigram() == pytest.approx(5 / 3)


def test_a_forecast_goes_on_from_segment_to_segment():
    found = forecasting(data([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]] * 2))
    batches = list(found.heldout(Cut(batch=2, bptt=2), "valid"))
    assert [b.inputs[..., 0].t().tolist()[0] for b in batches] == [[1, 2], [3, 4], [5]]
    assert [b.targets[..., 0].t().tolist()[0] for b in batches] == [[2, 3], [4, 5], [6]]
    assert [b.begins for b in batches] == [True, False, False]


def test_one_series_is_trained_on_in_pieces_side_by_side():
    found = forecasting(data([[float(n) for n in range(9)]]))
    (batch,) = found.epoch(Cut(batch=2, bptt=9), 1)
    assert sorted(batch.inputs[..., 0].t().tolist()) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert found.driving(2, 3).shape == (3, 2, 1)


def test_the_mean_and_the_median_are_what_must_be_beaten():
    found = data([*SERIES, [1.0]], torch.tensor([0.0, 0.0, 3.0]))
    assert Regression(found, "squared", "regression").unigram() == pytest.approx(2.0)
    assert Regression(found, "absolute", "regression").unigram() == pytest.approx(1.0)


def test_several_numbers_a_sequence_are_one_answer():
    found = Regression(data(SERIES, torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 2)), "squared", "r")
    assert found.size.outputs == 4
    loss, cost = found.losses(torch.zeros(2, 4), found.data.train.y)
    assert loss.tolist() == [7.5, 7.5]
    assert cost is None


def test_a_loss_counts_as_diverged_by_the_size_of_what_is_asked():
    """Who answers 0 to 30 and 40 is wrong by squares of 900 and 1,600; to 1 and 2, by 1 and 4."""
    for targets, bound in (([30.0, 40.0], 700 * 1250), ([1.0, 2.0], 700 * 2.5), ([0.1, 0.1], 700)):
        found = Regression(data(SERIES, torch.tensor(targets)), "squared", "regression")
        assert found.bound == pytest.approx(bound)


def test_targets_whose_error_float32_cannot_hold_are_refused_before_anything_trains():
    huge = data(SERIES, torch.tensor([1.0, -1e20]))
    assert Regression(huge, "absolute", "regression").bound == pytest.approx(700 * 5e19)
    with pytest.raises(
        CorpusError, match=r"y of the training split goes to 1e\+20, .* squared error"
    ):
        Regression(huge, "squared", "regression")


def test_what_cannot_be_foretold_is_said():
    with pytest.raises(
        CorpusError, match=r"row 1: 2 steps; a forecast 2 steps ahead \(task.horizon"
    ):
        forecasting(data(SERIES), horizon=2)
    with pytest.raises(CorpusError, match="has no targets y"):
        Regression(data(SERIES), "squared", "regression")
    with pytest.raises(CorpusError, match="Classes are named by task 'classification'"):
        Regression(data(SERIES, torch.tensor([0, 1])), "squared", "regression")


def test_adding_asks_for_the_two_marked_numbers():
    found = adding(None, length=7, train=50, valid=5, test=5).train
    assert found.x[..., 1].sum(1).tolist() == [2.0] * 50
    assert found.x[:, :3, 1].sum(1).tolist() == [1.0] * 50
    assert torch.allclose((found.x[..., 0] * found.x[..., 1]).sum(1), found.y)


def test_copying_asks_for_the_symbols_after_the_blanks():
    found = copying(None, length=3, items=2, symbols=4, train=20, valid=5, test=5).train
    assert found.x.shape == (20, 7, 6)
    assert found.y[:, :5].eq(-1).all()
    assert torch.equal(found.y[:, 5:], found.x[:, :2].argmax(-1))
    assert found.x[:, 2:5, 4].eq(1).all()
    assert found.x[:, 5:, 5].eq(1).all()


def test_parity_counts_the_bits_so_far():
    found = parity(None, length=6, train=20, valid=5, test=5).train
    assert torch.equal(found.y, (found.x[..., 0] > 0).long().cumsum(1) % 2)


def test_the_chaotic_series_follows_its_equation():
    """Away from its start, dx/dt by central differences is what the equation says, to 0.02 of its range."""
    found = mackey_glass(None, length=600)
    x = torch.cat([p.x[0, :, 0] for p in (found.train, found.valid, found.test)]).double()
    x = x * found.scale.double() + found.mean.double()
    slope = (x[19:] - x[17:-2]) / 2
    late = x[1:-18]
    wanted = 0.2 * late / (1 + late**10) - 0.1 * x[18:-1]
    assert float((slope - wanted).abs().max()) < 0.02 * float(x.max() - x.min())
    assert mackey_glass(None, length=600, data_seed=1).sha256 != found.sha256
    assert mackey_glass(None, length=600).sha256 == found.sha256
