"""Every shipped model keeps the contract that plugins are held to."""

import functools

import pytest
import torch
from tiny import TINY, VOCABULARY

from hyperprune.builtin.models import MODELS
from hyperprune.errors import PluginError
from hyperprune.testing.models import CHECKS, check_devices, check_sparse


def make(case):
    name, options = TINY[case]
    return functools.partial(MODELS[name], VOCABULARY, **options)


def test_every_model_is_here():
    assert {name for name, _ in TINY.values()} == set(MODELS)


@pytest.mark.parametrize(
    "check", [c for c in CHECKS if c is not check_sparse], ids=lambda c: c.__name__
)
@pytest.mark.parametrize("case", TINY)
def test_contract(case, check):
    check(make(case))


# Of the residual blocks one stands for all: their weights are masked alike, and each takes seconds. Presets
# and gates of each of them: test_modern.py.
ALIKE = ("min_gru", "min_lstm", "lru", "gated_linear", "mlstm")


@pytest.mark.parametrize(
    "case", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in MODELS]
)
def test_every_control_keeps_it_sparse(case):
    check_sparse(make(case))


@pytest.mark.gpu
@pytest.mark.parametrize("case", TINY)
def test_gpu_agrees(case):
    check_devices(make(case))


@pytest.mark.parametrize("case", TINY)
def test_bf16_stays_near(case, monkeypatch):
    monkeypatch.setattr("hyperprune.layers.scan.FEW", 0)  # products of single steps too
    model = make(case)().eval()
    text = torch.randint(VOCABULARY, (6, 3), generator=torch.Generator().manual_seed(1))
    losses = []
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss, _, state = model.training_loss(text[:-1], text[1:], model.initial_state(3))
            model.training_loss(text[:-1], text[1:], tuple(part.detach() for part in state))
        model.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
        losses.append(loss.float())
    torch.testing.assert_close(*losses, rtol=0.02, atol=0)


@pytest.mark.parametrize("case", TINY)
def test_weights_in_bf16_train_and_answer(case):
    model = make(case)()
    text = torch.randint(VOCABULARY, (6, 3), generator=torch.Generator().manual_seed(1))
    whole, _ = model.eval().evaluation_loss(text[:-1], text[1:], model.initial_state(3))
    model.bfloat16()
    half, state = model.evaluation_loss(text[:-1], text[1:], model.initial_state(3))
    torch.testing.assert_close(half.float(), whole, rtol=0.02, atol=0)
    state = tuple(part.detach() for part in state)  # a segment goes on from the one before
    loss, _, _ = model.train().training_loss(text[:-1], text[1:], state)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("case", "options", "said"),
    [
        ("stacked_lstm", {"hidden": 5, "embedding": 4, "tied": True}, "equal widths"),
        ("on_lstm", {"embedding": 6, "hidden": 10, "chunk": 3}, "10 units"),
    ],
)
def test_impossible_sizes_are_told(case, options, said):
    with pytest.raises(PluginError, match=said):
        MODELS[case](VOCABULARY, **options)
