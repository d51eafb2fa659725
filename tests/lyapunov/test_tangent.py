"""Analytic tangents against automatic differentiation of `step`, block by block."""

import pytest
import torch
from torch import Tensor, nn

from hyperprune.lyapunov.tangent import MemoryBlock, autodiff
from hyperprune.lyapunov.tangent.cells import Product, RowScaled

from .conftest import text

ALL = slice(0, 3)


def dense(block: Tensor | MemoryBlock) -> Tensor:
    return block.dense() if isinstance(block, MemoryBlock) else block


def both(model: nn.Module, kind: str) -> tuple[list, list]:
    """Analytic and automatic tangents of every layer over 6 steps of 3 sequences."""
    inputs, state = text(6, 3, seed=9), model.initial_state(3)
    layers = autodiff.step_layers(model.state_parts, kind)
    with torch.no_grad():
        analytic, last = model.tangent(inputs, state, kind)
        automatic, same = autodiff.step_tangent(model.step, layers, inputs, state)
    assert all((a - b).abs().max() < 1e-14 for a, b in zip(last, same, strict=True))
    return analytic, automatic


@pytest.mark.parametrize("kind", ["full", "hidden"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_blocks_of_every_step_and_layer(trained, cell: str, kind: str) -> None:
    analytic, automatic = both(trained(cell, 2), kind)
    assert [layer.size for layer in analytic] == [layer.size for layer in automatic]
    assert [layer.layer for layer in analytic] == [0, 1]
    for mine, other in zip(analytic, automatic, strict=True):
        for t in range(6):
            expected = other.block(t, ALL)
            assert (dense(mine.block(t, ALL)) - expected).abs().max() < 1e-14
            some = dense(mine.block(t, slice(1, 2)))
            assert (some - expected[1:2]).abs().max() < 1e-14


@pytest.mark.parametrize("columns", [1, 3, 12])
def test_products_without_the_block(trained, columns: int) -> None:
    """Forward mode for few columns, reverse mode for many, memory blocks without their zeros."""
    analytic, automatic = both(trained("lstm", 2), "full")
    autodiff.load_forward_mode()
    Q = torch.randn(3, 24, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for mine, other in zip(analytic, automatic, strict=True):
        expected = dense(mine.block(2, ALL)) @ Q
        assert (mine.product(2, ALL, Q) - expected).abs().max() < 1e-13
        assert (other.product(2, ALL, Q) - expected).abs().max() < 1e-13


def test_chunks_respect_the_memory_budget(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    _, automatic = both(trained("lstm", 1), "full")
    whole = automatic[0].block(1, ALL)
    row = 24 * 8 * 3  # bytes of state that one row of three sequences repeats
    monkeypatch.setattr(autodiff, "BUDGET", 5 * row)
    assert automatic[0].chunk(3) == 5
    assert (automatic[0].block(1, ALL) - whole).abs().max() < 1e-15
    autodiff.load_forward_mode()
    Q = torch.eye(24, 6, dtype=torch.float64).expand(3, -1, -1)
    assert (automatic[0].product(1, ALL, Q) - whole[..., :6]).abs().max() < 1e-15
    monkeypatch.setattr(autodiff, "BUDGET", 1)
    assert automatic[0].chunk(3) == 1


def test_an_operator_without_a_forward_rule_falls_back(trained) -> None:
    class NoForward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, grad: Tensor) -> Tensor:
            return 2 * ctx.saved_tensors[0] * grad

    def step(_: Tensor, state: tuple[Tensor]) -> tuple[Tensor]:
        return (NoForward.apply(state[0]),)

    autodiff.load_forward_mode()
    layer = autodiff.StepLayer(0, (0,), 8)
    state = (torch.arange(8.0, dtype=torch.float64)[None],)
    with torch.no_grad():
        (tangent,), _ = autodiff.step_tangent(step, [layer], torch.zeros(1, 1, 1), state)
    pushed = tangent.product(0, slice(0, 1), torch.eye(8, 1, dtype=torch.float64)[None])
    assert not tangent.forward_mode
    assert torch.equal(pushed[0, :, 0], torch.zeros(8).double())
    assert torch.equal(tangent.block(0, slice(0, 1))[0].diagonal(), 2 * state[0][0])


def test_row_scaled_by_hand() -> None:
    """diag(1, 10) [[1, 2], [3, 4]] + diag(5, 6) 1 = [[6, 7], [36, 46]]; then diag(.5, .5) is added."""
    W = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])
    scales = torch.tensor([[[[1.0, 10.0], [5.0, 6.0]]]])  # (T = 1, B = 1, G = 2, n = 2)
    tangent = RowScaled(0, W, scales, torch.full((1, 1, 2), 0.5))
    assert tangent.block(0, slice(0, 1)).tolist() == [[[6.5, 7.0], [36.0, 46.5]]]


def test_a_product_applies_the_first_factor_first() -> None:
    """[[0, 1], [0, 0]] after [[0, 0], [1, 0]] is [[1, 0], [0, 0]]."""
    one = torch.ones(1, 1, 1, 2)
    first = RowScaled(0, torch.tensor([[[0.0, 0.0], [1.0, 0.0]]]), one)
    second = RowScaled(0, torch.tensor([[[0.0, 1.0], [0.0, 0.0]]]), one)
    assert Product([first, second]).block(0, slice(0, 1)).tolist() == [[[1.0, 0.0], [0.0, 0.0]]]
