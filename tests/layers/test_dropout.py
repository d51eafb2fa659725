"""What each dropout drops together, and by how much it scales the rest."""

import pytest
import torch
from torch.nn import functional

from hyperprune.layers.dropout import (
    activation_penalty,
    embedding_dropout,
    keep_mask,
    locked_dropout,
    weight_drop,
)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def test_mask_is_scaled_so_that_the_mean_stays():
    mask = keep_mask((100, 100), 0.3, torch.zeros(()))
    assert mask.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert mask.mean() == pytest.approx(1, abs=0.02)


def test_locked_dropout_is_one_mask_for_all_steps_and_another_for_each_sequence():
    x = locked_dropout(torch.ones(7, 5, 40), 0.5)
    assert (x == x[:1]).all()
    assert len({tuple(row.tolist()) for row in x[0]}) == 5
    assert set(x.unique().tolist()) == {0.0, 2.0}


def test_embedding_dropout_drops_a_word_wherever_it_stands():
    weight = torch.randn(12, 3, dtype=torch.float64)
    tokens = torch.randint(12, (20, 6))
    x = embedding_dropout(weight, tokens, 0.5)
    kept = {}
    for word, vector in zip(tokens.flatten().tolist(), x.flatten(0, 1), strict=True):
        assert kept.setdefault(word, bool(vector.any())) == bool(vector.any())
        if kept[word]:
            torch.testing.assert_close(vector, 2 * weight[word])
    assert set(kept.values()) == {True, False}


def test_embedding_dropout_is_a_mask_of_the_weights_rows():
    weight, tokens = torch.randn(12, 3), torch.randint(12, (4, 2))
    with torch.random.fork_rng():
        dropped = embedding_dropout(weight, tokens, 0.4)
    rows = keep_mask((12,), 0.4, weight)
    torch.testing.assert_close(dropped, functional.embedding(tokens, weight * rows[:, None]))


def test_weight_drop_keeps_zeros_and_leaves_the_weight_alone():
    weight = torch.randn(30, 30) * (torch.rand(30, 30) < 0.3)
    before = weight.clone()
    dropped = weight_drop(weight, 0.5)
    assert torch.equal(weight, before)
    assert not dropped[weight == 0].any()
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * weight[kept])
    assert 0.3 < kept.sum() / (weight != 0).sum() < 0.7


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_dropped_at_0_or_in_evaluation(p, training):
    x, tokens = torch.randn(4, 3, 6), torch.randint(3, (4, 3))
    assert torch.equal(locked_dropout(x, p, training), x)
    assert torch.equal(weight_drop(x, p, training), x)
    expected = functional.embedding(tokens, x[0])
    assert torch.equal(embedding_dropout(x[0], tokens, p, training), expected)


def test_activation_penalty():
    # one unit, one sequence: outputs 1, 3, 2 dropped to 0, 6, 4: 2·(0 + 36 + 16)/3 + 1·(4 + 1)/2
    raw = torch.tensor([1.0, 3.0, 2.0]).view(3, 1, 1)
    dropped = torch.tensor([0.0, 6.0, 4.0]).view(3, 1, 1)
    penalty = activation_penalty(dropped, raw, 2.0, 1.0)
    assert penalty == pytest.approx(2 * 52 / 3 + 2.5)
    assert activation_penalty(dropped, raw, 0.0, 0.0) == 0
    assert activation_penalty(dropped[:1], raw[:1], 0.0, 1.0) == 0  # a single step: no difference
