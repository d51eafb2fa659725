"""GRU and tanh over time against torch's own kernels and against their float32 selves in bfloat16."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from hyperprune.builtin.models import MODELS
from hyperprune.layers.recurrence import gru_over_time, tanh_over_time
from hyperprune.layers.scan import step_dtype

T, B, E, H = 5, 3, 4, 6


def written(net, x, h):
    w_x, w_h, b_x, b_h = net.parameters()
    if isinstance(net, nn.GRU):
        return gru_over_time(functional.linear(x, w_x, b_x), h, w_h, b_h)
    return tanh_over_time(functional.linear(x, w_x, b_x + b_h), h, w_h)


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN])
def test_values_and_gradients_are_torchs(kind):
    torch.manual_seed(1)
    net = kind(E, H).double()
    x = torch.randn(T, B, E).double().requires_grad_()
    h = torch.randn(B, H).double().requires_grad_()
    towards = torch.randn(T, B, H).double()
    leaves = [x, h, *net.parameters()]
    found = []
    for outputs in (written(net, x, h), net(x, h[None])[0]):
        # The last output also comes back as the state that a task may read.
        loss = (outputs * towards).sum() + outputs[-1].square().sum()
        found.append([outputs, *torch.autograd.grad(loss, leaves)])
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("few", [0, 10**7], ids=["steps too", "steps in float32"])
@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN])
def test_bfloat16_stays_near_float32(kind, few, monkeypatch):
    monkeypatch.setattr("hyperprune.layers.scan.FEW", few)
    torch.manual_seed(1)
    net = kind(E, H)
    x, h = torch.randn(T, B, E), torch.randn(B, H)
    whole = written(net, x, h)
    wanted = torch.autograd.grad(whole.sum(), list(net.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        half = written(net, x, h)
    got = torch.autograd.grad(half.sum(), list(net.parameters()))
    assert half.dtype == torch.float32
    assert not torch.equal(half, whole)
    torch.testing.assert_close(half, whole, rtol=0, atol=0.03)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.03 * float(other.abs().max()))


def test_products_of_few_numbers_are_float32_on_a_cpu():
    small, large, two, three = (
        torch.empty(size) for size in ((4, 5), (5000, 1000), (2, 5), (3, 5))
    )
    assert step_dtype(small, two) == torch.float32
    assert step_dtype(small.double(), two) == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert step_dtype(small, two) == torch.float32
        assert step_dtype(large, two) == torch.float32
        assert step_dtype(large, three) == torch.bfloat16


@pytest.mark.parametrize("name", ["gru", "rnn"])
def test_a_stack_trains_as_torchs_module_does(name):
    """The same dropout is drawn in the same order, so that losses and gradients agree."""
    torch.manual_seed(2)
    model = MODELS[name](11, hidden=H, layers=3, dropout=0.4).double().train()
    tokens = torch.randint(11, (T, B))
    before = tuple(torch.randn(B, H).double() for _ in range(3))
    found = []
    for run in (model.features, model.by_torch):
        torch.manual_seed(7)
        dropped, raw, state = run(tokens, before)
        model.zero_grad()
        (dropped.sum() + state[0].square().sum()).backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        found.append([dropped, raw, *state, *grads])
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)
