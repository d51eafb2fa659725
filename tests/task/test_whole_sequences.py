"""Whole sequences: padded, masked, in batches; what is scored, and what a loss makes of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hyperprune.builtin.tasks.classification import Classification
from hyperprune.corpus import Part, Sequences, padded
from hyperprune.errors import CorpusError
from hyperprune.task import Cut, answers

#  x    a  b  c       labels of steps   0  1 -1     one a sequence   1
#       d                               1                            0
#       e  f                            1  0                         1
ROWS = [torch.tensor(row) for row in ([[1.0], [2.0], [3.0]], [[4.0]], [[5.0], [6.0]])]
X, LENGTHS = padded(ROWS)
STEPS = torch.tensor([[0, 1, -1], [1, 0, 0], [1, 0, 0]])


def data(y):
    part = Part(X, LENGTHS, y)
    return Sequences("abc", part, part, part)


def echo(x):
    """A network whose outputs say class 1 where a feature is even: logits (0, ±10)."""
    return torch.cat([torch.zeros_like(x), torch.where(x % 2 == 0, 10.0, -10.0)], -1)


class Echo(nn.Module):
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, state):
        return echo(inputs) + self.unused, state


def test_batches_are_as_long_as_their_longest_and_score_what_is_labelled():
    task = Classification(data(STEPS))
    first, second = task.heldout(Cut(batch=2, bptt=99), "valid")
    assert first.inputs[..., 0].t().tolist() == [[1, 2, 3], [4, 0, 0]]
    assert first.scored == (2, 1)
    assert second.inputs[..., 0].t().tolist() == [[5, 6]]
    assert second.scored == (2,)
    assert [batch.weight for batch in (first, second)] == [3, 2]
    assert all(batch.begins for batch in (first, second))


def test_an_epoch_has_every_sequence_once_in_the_order_of_its_seed():
    task = Classification(data(torch.tensor([1, 0, 1])))
    orders = []
    for seed in range(8):
        batches = list(task.epoch(Cut(batch=2, bptt=1), seed))
        orders.append([x for batch in batches for x in batch.inputs[0, :, 0].tolist()])
        assert sorted(orders[-1]) == [1, 4, 5]
    assert len({tuple(order) for order in orders}) > 1
    again = task.epoch(Cut(batch=2, bptt=1), 7)
    assert orders[7] == [x for batch in again for x in batch.inputs[0, :, 0].tolist()]


@torch.no_grad()
def test_labels_of_steps_count_where_they_are_labels():
    """Of 0 1 | 1 | 1 0, echo says 0 1 | 1 | 0 1: three of five are right."""
    task = Classification(data(STEPS))
    loss, error = 0.0, 0.0
    for batch in task.heldout(Cut(batch=2, bptt=99), "valid"):
        mean, cost, _ = task.evaluation_loss(Echo(), batch, ())
        loss += float(mean) * batch.weight / 5
        error += float(cost) * batch.weight / 5
    assert error == pytest.approx(2 / 5)
    right, wrong = math.log1p(math.exp(-10)), math.log1p(math.exp(10))
    assert loss == pytest.approx((3 * right + 2 * wrong) / 5, rel=1e-5)
    assert task.metric.told(error) == "60.00%"


def test_a_label_of_a_sequence_is_held_against_its_last_step():
    """Last features 3, 4, 6: echo says 0, 1, 1; the labels are 1, 0, 1."""
    task = Classification(data(torch.tensor([1, 0, 1])))
    (batch,) = task.heldout(Cut(batch=3, bptt=99), "valid")
    _, cost, _ = task.evaluation_loss(Echo(), batch, ())
    assert float(cost) == pytest.approx(2 / 3)


def test_padding_teaches_nothing():
    task = Classification(data(torch.tensor([1, 0, 1])))
    (batch,) = task.heldout(Cut(batch=3, bptt=99), "valid")
    inputs = batch.inputs.clone().requires_grad_()
    model = nn.Linear(1, 2)
    loss, _, _ = task.training_loss(_Plain(model), _with(batch, inputs), ())
    (gradient,) = torch.autograd.grad(loss, inputs)
    reached = [[False, False, True], [True, False, False], [False, True, False]]
    assert gradient[..., 0].t().ne(0).tolist() == reached


class _Plain(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, inputs, state):
        return self.inner(inputs), state


def _with(batch, inputs):
    from dataclasses import replace

    return replace(batch, inputs=inputs)


def test_a_model_adds_its_own_penalty():
    class Regular(_Plain):
        def regularised(self, inputs, state):
            return self.inner(inputs), torch.tensor(3.0), state

    task = Classification(data(torch.tensor([1, 0, 1])))
    (batch,) = task.heldout(Cut(batch=3, bptt=99), "valid")
    loss, mean, _ = task.training_loss(Regular(nn.Linear(1, 2)), batch, ())
    assert float(loss.detach()) == pytest.approx(float(mean) + 3)
    assert float(answers(_Plain(nn.Linear(1, 2)), batch.inputs, ())[1]) == 0


def test_spectra_are_driven_by_the_first_sequences_that_are_long_enough():
    task = Classification(data(torch.tensor([1, 0, 1])))
    assert task.driving(2, 2)[..., 0].t().tolist() == [[1, 2], [5, 6]]
    with pytest.raises(
        CorpusError, match=r"1 sequences of 3 steps or more \(its longest has 3, of 3"
    ):
        task.driving(2, 3)


def test_what_must_be_beaten_is_the_most_frequent_class():
    assert Classification(data(torch.tensor([1, 0, 1]))).unigram() == pytest.approx(2 / 3)
    assert Classification(data(torch.tensor([1, 0, 1])), "error_rate").unigram() == pytest.approx(
        1 / 3
    )


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 0, 2], "no training sequence has class 1 of 0 to 2"),
        ([0, -1, 1], "row 1: label -1 is below 0"),
        ([0, 0, 0], "a classification needs 2 classes"),
        ([0.0, 1.0, 0.5], "needs integers"),
    ],
)
def test_labels_that_are_none(labels, said):
    with pytest.raises(CorpusError, match=said):
        Classification(data(torch.tensor(labels)))


def test_a_class_that_training_never_saw_is_named_with_its_row():
    train = Part(X, LENGTHS, torch.tensor([0, 1, 1]))
    valid = Part(X, LENGTHS, torch.tensor([0, 5, 1]))
    with pytest.raises(CorpusError, match="validation split, row 1: label 5 is not among the 2"):
        Classification(Sequences("abc", train, valid, train))


def test_a_text_and_no_labels_are_refused():
    from hyperprune.testing import tiny_corpus

    with pytest.raises(CorpusError, match="'tiny' is a text"):
        Classification(tiny_corpus())
    with pytest.raises(CorpusError, match="has no labels y"):
        Classification(data(None))
