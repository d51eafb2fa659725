"""The hand-written backward pass against automatic differentiation of the same loop."""

import pytest
import torch

from hyperprune.builtin.models.on_lstm_cell import OrderedCell
from hyperprune.builtin.models.rhn_cell import HighwayCell
from hyperprune.layers.scan import scan

T, B, H = 4, 2, 4
CELLS = {
    "highway": (HighwayCell(coupled=True), 2 * H, False, 3),
    "uncoupled": (HighwayCell(coupled=False), 3 * H, False, 2),
    "ordered": (OrderedCell(chunk=2), 2 * 2 + 4 * H, True, 1),
}


def plain(cell, x, h, c, weights, biases, mask):
    outputs = []
    for x_t in x:
        for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            z = (h if mask is None else h * mask) @ weight.T + bias
            h, c, _ = cell.forward(z + x_t if k == 0 else z, h, c)
        outputs.append(h)
    return torch.stack(outputs), c


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients(name, masked):
    cell, gates, remembers, depth = CELLS[name]
    draw = torch.Generator().manual_seed(3)

    def make(*shape):
        return torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_()

    x, h = make(T, B, gates), make(B, H)
    c = make(B, H) if remembers else None
    weights = [make(gates, H) for _ in range(depth)]
    biases = [make(gates) for _ in range(depth)]
    mask = torch.tensor([[0.0, 2, 2, 0], [2, 2, 0, 0]]).double() if masked else None
    leaves = [leaf for leaf in (x, h, c, *weights, *biases) if leaf is not None]
    towards = torch.randn(T, B, H, generator=draw, dtype=torch.float64)
    found = []
    for run in (scan, plain):
        outputs, last = run(cell, x, h, c, weights, biases, mask)
        loss = (outputs * towards).sum() + (0 if last is None else last.square().sum())
        found.append([outputs, *torch.autograd.grad(loss, leaves)])
    for got, wanted in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-10)


def test_nothing_is_kept_without_gradients():
    cell, gates, _, depth = CELLS["highway"]
    weights = [torch.ones(gates, H) for _ in range(depth)]
    biases = [torch.zeros(gates) for _ in range(depth)]
    outputs, last = scan(cell, torch.zeros(T, B, gates), torch.zeros(B, H), None, weights, biases)
    assert last is None
    assert outputs.grad_fn is None
