"""Training as int8: the rounding, gradients of rounded weights, masks and counts, resumption."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hyperprune.pipeline.finals import as_int8
from hyperprune.testing import tiny_recipe, tiny_text
from hyperprune.training.build import build_trainer, load_task
from hyperprune.training.int8 import held, quantised, rounded


def test_rows_are_rounded_by_their_largest_weight():
    #  127  -63.4  0.6        scale 1:   127  -63  1
    #  0    0      0          scale 1:     0    0  0
    #  -2   1      0          scale 2/127: -127 64 0  (63.5 goes to the even 64)
    weight = torch.tensor([[127.0, -63.4, 0.6], [0, 0, 0], [-2.0, 1.0, 0.0]])
    values, scales = quantised(weight)
    assert values.tolist() == [[127, -63, 1], [0, 0, 0], [-127, 64, 0]]
    assert scales[:2].tolist() == [1, 1]
    assert scales[2] == pytest.approx(2 / 127, rel=1e-5)
    assert torch.equal(rounded(weight)[0], torch.tensor([127.0, -63, 1]))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 40), st.floats(1e-30, 1e20), st.integers(0, 99))
def test_what_is_rounded_stays_as_it_is(rows, columns, size, seed):
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=rng) * size
    weight *= torch.rand(rows, columns, generator=rng) < 0.5
    found = rounded(weight)
    assert torch.equal(rounded(found), found)  # to the bit
    assert torch.equal(quantised(found)[0], quantised(weight)[0])
    assert not found[weight == 0].any()
    step = weight.abs().amax(1, keepdim=True) / 127
    assert bool(((found - weight).abs() <= step * 0.5001 + 1e-37).all())


def test_a_gradient_is_that_of_rounded_weights():
    # y = w · x with w = (1, 0.3): in int8 0.3 is 38/127. d(y²)/dw = 2 y x, at the rounded w.
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.3]]))
    before = model.weight.detach().clone()
    with held(model):
        y = model(torch.tensor([[1.0, 2.0]]))
        y.square().sum().backward()
    expected = 2 * (1 + 2 * 38 / 127) * torch.tensor([[1.0, 2.0]])
    assert torch.allclose(model.weight.grad, expected, rtol=1e-5)
    assert torch.equal(model.weight, before)  # the weights themselves are as they were


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    text = tiny_text(tmp_path_factory.mktemp("int8"))
    return tiny_recipe(text, "prune.update=never", "train.optimizer=adam", "train.lr=0.01")


def test_rates_are_small_and_masks_stay(recipe):
    final = recipe.final.model_copy(update={"int8_epochs": 3, "int8_lr": 0.2})
    own = as_int8(recipe.model_copy(update={"final": final}))
    assert own.train.lr == pytest.approx(0.2 * 0.01)
    assert (own.train.epochs, own.train.schedule, own.prune.update) == (3, "cosine", "never")
    untouched = {"lr", "epochs", "schedule", "warmup", "finetune"}
    assert own.train.model_dump(exclude=untouched) == recipe.train.model_dump(exclude=untouched)


@pytest.fixture
def trainer(recipe):
    task = load_task(recipe)
    float32 = build_trainer(recipe, task, sparse=True)
    float32.run_epoch()
    weights = {name: p.detach().clone() for name, p in float32.model.named_parameters()}
    masks = {name: mask.clone() for name, mask in float32.sparse.masks.items()}
    return build_trainer(recipe, task, sparse=True, int8=(weights, masks)), weights, masks


def test_masks_and_counts_stay(trainer):
    made, weights, masks = trainer
    assert all(torch.equal(p, weights[name]) for name, p in made.model.named_parameters())
    active = sum(int(mask.sum()) for mask in masks.values())
    assert active == round(0.5 * sum(mask.numel() for mask in masks.values()))
    for _ in range(2):
        made.run_epoch()
        for name, mask in made.sparse.masks.items():
            assert torch.equal(mask, masks[name])
            assert not dict(made.model.named_parameters())[name].detach()[~mask].any()
    with made.as_saved():
        for name, parameter in made.model.named_parameters():
            if parameter.dim() > 1:
                assert torch.equal(parameter, rounded(parameter.detach()))
                assert not torch.equal(parameter, weights[name])


def test_it_goes_on_to_the_bit(recipe, trainer):
    made, weights, masks = trainer
    made.run_epoch()
    tensors, values = made.state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    last = made.run_epoch()
    again = build_trainer(recipe, load_task(recipe), sparse=True, int8=(weights, masks))
    again.load_state(tensors, values)
    assert again.run_epoch() == last
    for mine, other in zip(made.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(mine, other)
