import pytest
import torch
from hyperprune_mgu import mgu

from hyperprune.testing import check, check_in_run, contributions


@pytest.mark.parametrize("item", contributions("hyperprune-mgu"), ids=str)
def test_contract(item):
    check(item)
    check_in_run(item)


def test_a_step_by_hand():
    # one unit, all weights 1, all biases 0, x = 0, h = 0.5:
    # f = σ(0.5), ĥ = tanh(0.5 f), h' = (1 − f) 0.5 + f ĥ
    network = mgu(3, hidden=1, dropout=0.0)
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.fill_(0.0 if "bias" in name else 1.0)
    h = torch.tensor([[0.5]])
    (after,) = network.step(torch.zeros(1, 1), (h,))
    f = torch.sigmoid(h)
    torch.testing.assert_close(after, (1 - f) * h + f * torch.tanh(f * h))


def test_gates_are_named_for_every_stacked_weight():
    network = mgu(5, hidden=3, layers=2)
    assert set(network.gates()) == {
        f"from_{part}.{layer}{end}"
        for layer in (0, 1)
        for part, end in (("input", ".weight"), ("input", ".bias"), ("hidden", ""))
    }
