"""The lean losses against the plain formula, whatever the chunk."""

import pytest
import torch
from torch.nn import functional

from hyperprune.layers import mixture
from hyperprune.layers.mixture import linear_nll, mixture_log_probabilities, mixture_nll

N, K, E, V = 13, 3, 4, 17


def inputs(dtype=torch.float64):
    draw = torch.Generator().manual_seed(4)

    def make(*shape):
        return torch.randn(shape, generator=draw, dtype=dtype).requires_grad_()

    return make(N, K, E), make(N, K), make(V, E), make(V), torch.arange(N) % V


def plain(latents, prior, weight, bias, targets):
    """−mean log Σ_k π_k softmax_k[target], literally."""
    experts = torch.softmax(latents @ weight.T + bias, -1)  # (N, K, V)
    mixed = (torch.softmax(prior, -1).unsqueeze(-1) * experts).sum(1)
    return -torch.log(mixed[torch.arange(N), targets]).mean()


@pytest.mark.parametrize("entries", [1, 4 * K * V, 1 << 21])  # 2, 4 and all positions a chunk
def test_loss_and_gradients_are_exact(monkeypatch, entries):
    monkeypatch.setitem(mixture.ENTRIES, "cpu", entries)
    latents, prior, weight, bias, targets = inputs()
    lean = mixture_nll(latents, prior.log_softmax(-1), weight, bias, targets)
    wanted = plain(latents, prior, weight, bias, targets)
    torch.testing.assert_close(lean, wanted)
    leaves = (latents, prior, weight, bias)
    found = torch.autograd.grad(3 * lean, leaves)
    for got, right in zip(found, torch.autograd.grad(3 * wanted, leaves), strict=True):
        torch.testing.assert_close(got, right)


def test_log_probabilities_sum_to_one_and_agree():
    latents, prior, weight, bias, targets = inputs()
    log_p = mixture_log_probabilities(latents, prior.log_softmax(-1), weight, bias)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(N).double())
    torch.testing.assert_close(
        -log_p[torch.arange(N), targets].mean(), plain(latents, prior, weight, bias, targets)
    )


def test_one_expert_is_cross_entropy():
    latents, _, weight, bias, targets = inputs()
    features = latents[:, 0]
    lean = linear_nll(features, weight, bias, targets)
    wanted = functional.cross_entropy(features @ weight.T + bias, targets)
    torch.testing.assert_close(lean, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(lean, weight)[0], torch.autograd.grad(wanted, weight)[0]
    )


def test_extreme_logits_stay_finite():
    latents, prior, weight, bias, targets = inputs(torch.float32)
    loss = mixture_nll(latents * 1e4, prior.log_softmax(-1), weight, bias, targets)
    loss.backward()
    assert loss.isfinite()
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("shift", [-200.0, 200.0])  # e^±200 is 0 or infinite in float32
def test_what_all_words_share_changes_nothing(shift):
    latents, prior, weight, bias, targets = inputs(torch.float32)
    found = []
    for offset in (0.0, shift):
        loss = mixture_nll(latents, prior.log_softmax(-1), weight, bias + offset, targets)
        found.append([loss, *torch.autograd.grad(loss, (latents, weight, bias))])
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_evaluation_takes_no_gradient():
    latents, prior, weight, bias, targets = inputs()
    with torch.no_grad():
        loss = mixture_nll(latents, prior.log_softmax(-1), weight, bias, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain(latents, prior, weight, bias, targets).detach())
