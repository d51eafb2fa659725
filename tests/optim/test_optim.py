"""SNT-ASGD to its definition; every optimiser's state goes on to the bit."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from hyperprune.errors import RunError
from hyperprune.optim import SNTASGD, Optimizer, build_optimizer

NAMES = ["snt_asgd", "sgd", "adam", "adamw"]


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def build(model: nn.Module, name: str = "snt_asgd", decay: float = 0.0) -> Optimizer:
    return build_optimizer(name, model, lr=0.1, weight_decay=decay)


def give_gradients(model: nn.Module, step: int) -> None:
    for i, parameter in enumerate(model.parameters()):
        draw = torch.Generator().manual_seed(100 * step + i)
        parameter.grad = torch.randn(parameter.shape, generator=draw)


def test_until_triggered_it_is_sgd_with_weight_decay() -> None:
    ours, theirs = network(), network()
    optimizer = build(ours, decay=0.01)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, weight_decay=0.01)
    for step in range(5):
        for model, made in ((ours, optimizer), (theirs, reference)):
            give_gradients(model, step)
            made.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    assert not optimizer.state


@pytest.mark.parametrize(
    ("losses", "triggered_at"),
    [
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], None),
        # six are logged and the seventh is worse than the best of all but the last five: 5
        ([5, 9, 9, 9, 9, 9, 6], 7),
        # worse than the five before it, but better than what came earlier
        ([9, 5, 5, 5, 5, 5, 6], None),
        # only five are logged when the sixth comes
        ([1, 9, 9, 9, 9, 9], None),
        # 7 is no worse than 7
        ([7, 9, 9, 9, 9, 9, 7], None),
        # the best of [5, 4]
        ([5, 4, 3, 3, 3, 3, 3, 4.5], 8),
    ],
)
def test_trigger(losses: list[float], triggered_at: int | None) -> None:
    optimizer = build(network())
    found = None
    for count, loss in enumerate(losses, 1):
        optimizer.observe(loss)
        if optimizer.averaging and found is None:
            found = count
    assert found == triggered_at


def test_averaging_never_reverts() -> None:
    optimizer = build(network())
    for loss in [5, 9, 9, 9, 9, 9, 6, 1, 0.5]:
        optimizer.observe(loss)
    assert optimizer.averaging


def test_average_is_the_running_mean_from_the_second_step_on() -> None:
    model = network()
    optimizer = build(model)
    assert isinstance(optimizer, SNTASGD)
    optimizer.averaging = True
    expected: dict[str, Tensor] = {}
    for s in range(1, 8):  # s counts steps since averaging began
        give_gradients(model, s)
        optimizer.step()
        for name, w in model.named_parameters():
            a = expected.get(name, w.detach().clone())
            if s >= 2:
                a = a + (w.detach() - a) / (s - 1)
            expected[name] = a
            torch.testing.assert_close(optimizer.average(w), a)


def test_each_weight_counts_its_own_steps() -> None:
    # weight 0 is forgotten before step 4, weight 1 before steps 4 and 6
    model = nn.Linear(3, 1, bias=False)
    optimizer = build(model)
    assert isinstance(optimizer, SNTASGD)
    optimizer.averaging = True
    values: list[list[float]] = [[], [], []]
    for step in range(1, 10):
        for forgotten, at in ((0, 4), (1, 4), (1, 6)):
            if step == at:
                where = torch.zeros(1, 3, dtype=torch.bool)
                where[0, forgotten] = True
                optimizer.forget(model.weight, where)
                values[forgotten] = []
        give_gradients(model, step)
        optimizer.step()
        for i in range(3):
            values[i].append(model.weight[0, i].item())
        means = [v[0] if len(v) == 1 else sum(v[1:]) / (len(v) - 1) for v in values]
        torch.testing.assert_close(optimizer.average(model.weight), torch.tensor([means]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_averages_of_weights_in_half_precision_do_not_saturate(dtype: torch.dtype) -> None:
    model = network().to(dtype)
    optimizer = build_optimizer("snt_asgd", model, lr=0.0, weight_decay=0.0)
    assert isinstance(optimizer, SNTASGD)
    optimizer.averaging = True
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)

    for _ in range(301):  # equal values: in bfloat16 no sum of 256 or more of them grows by another
        optimizer.step()
    assert torch.equal(optimizer.average(model.weight), model.weight)
    optimizer.forget(model.weight, model.weight > 0)  # 301 is no bfloat16
    for _ in range(3):
        optimizer.step()
    assert torch.equal(optimizer.average(model.weight), model.weight)

    saved = copy.deepcopy(optimizer.state_dict())
    resumed = build_optimizer("snt_asgd", model, lr=0.0, weight_decay=0.0)
    resumed.load_state_dict(saved)
    for key in ("sum", "since"):
        mine, other = resumed.state[model.weight][key], optimizer.state[model.weight][key]
        assert mine.dtype == other.dtype
        assert torch.equal(mine, other)


def test_a_group_that_is_added_later_is_averaged_from_its_own_second_step() -> None:
    first, later = network(), network()
    optimizer = build(first)
    assert isinstance(optimizer, SNTASGD)
    optimizer.averaging = True
    for step in range(3):
        give_gradients(first, step)
        optimizer.step()
    optimizer.add_param_group({"params": list(later.named_parameters(prefix="later"))})
    values = []
    for step in range(3, 6):
        give_gradients(first, step)
        give_gradients(later, step)
        optimizer.step()
        values.append(later.weight.detach().clone())
        wanted = torch.stack(values[1:] or values).mean(0)
        torch.testing.assert_close(optimizer.average(later.weight), wanted)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(
        RunError, match=r"no optimizer 'snt_sgd' \(did you mean 'snt_asgd'\?\); known"
    ):
        build(network(), "snt_sgd")


def test_forgetting_before_the_first_averaged_step_is_no_harm() -> None:
    model = network()
    optimizer = build(model)
    assert isinstance(optimizer, SNTASGD)
    optimizer.forget(model.weight, torch.ones(2, 3, dtype=torch.bool))
    optimizer.averaging = True
    optimizer.forget(model.weight, torch.ones(2, 3, dtype=torch.bool))
    with optimizer.averaged():
        assert model.weight.any()
    give_gradients(model, 1)
    optimizer.step()
    torch.testing.assert_close(optimizer.average(model.weight), model.weight.detach())


def test_averages_stand_in_and_weights_come_back_exactly() -> None:
    model = network()
    optimizer = build(model)
    assert isinstance(optimizer, SNTASGD)
    optimizer.averaging = True
    for step in range(4):
        give_gradients(model, step)
        optimizer.step()
    weights = [p.detach().clone() for p in model.parameters()]
    averages = [optimizer.average(p) for p in model.parameters()]
    storage = [p.data_ptr() for p in model.parameters()]
    with optimizer.averaged():
        for parameter, average in zip(model.parameters(), averages, strict=True):
            assert torch.equal(parameter, average)
    for parameter, weight, average in zip(model.parameters(), weights, averages, strict=True):
        assert torch.equal(parameter, weight)
        assert not torch.equal(parameter, average)
    assert [p.data_ptr() for p in model.parameters()] == storage


def test_weights_come_back_when_evaluation_fails() -> None:
    model = network()
    optimizer = build(model)
    assert isinstance(optimizer, SNTASGD)
    optimizer.averaging = True
    for step in range(4):
        give_gradients(model, step)
        optimizer.step()
    weight = model.weight.detach().clone()

    def fail() -> None:
        with optimizer.averaged():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(model.weight, weight)


@pytest.mark.parametrize("name", NAMES)
def test_rescaling_reaches_every_tensor_and_ends_with_its_block(name: str) -> None:
    full, half = network(), network()
    optimizer, halved = build(full, name), build(half, name)
    give_gradients(full, 1)
    give_gradients(half, 1)
    start = [p.detach().clone() for p in full.parameters()]
    optimizer.step()
    with halved.rescaled(0.5):
        halved.step()
    for before, mine, other in zip(start, full.parameters(), half.parameters(), strict=True):
        torch.testing.assert_close((mine - before) / 2, other - before)
    assert [group["lr"] for group in halved.param_groups] == [0.1]


@pytest.mark.parametrize("name", NAMES)
def test_going_on_from_flat_state_is_exact(name: str) -> None:
    def take(model: nn.Linear, optimizer: Optimizer, steps: range) -> None:
        for step in steps:
            if step == 6 and isinstance(optimizer, SNTASGD):
                optimizer.forget(model.weight, model.weight > 0)
            give_gradients(model, step)
            optimizer.step()
            optimizer.observe(float(step))

    through = network()
    whole = build(through, name, decay=0.01)
    take(through, whole, range(14))  # the trigger falls in the seventh observation

    model = network()
    optimizer = build(model, name, decay=0.01)
    take(model, optimizer, range(9))
    tensors, values = optimizer.flat_state()
    tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    values = json.loads(json.dumps(values))
    resumed = build(model, name, decay=0.01)
    resumed.load_flat_state(tensors, values)
    take(model, resumed, range(9, 14))

    assert resumed.averaging is (name == "snt_asgd")
    with whole.averaged(), resumed.averaged():
        for mine, other in zip(model.parameters(), through.parameters(), strict=True):
            assert torch.equal(mine, other)
    for mine, other in zip(model.parameters(), through.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_another_networks_state_is_refused() -> None:
    model = network()
    optimizer = build(model, "adam")
    give_gradients(model, 0)
    optimizer.step()
    tensors, values = optimizer.flat_state()
    other = build(nn.Sequential(network()), "adam")
    with pytest.raises(RunError, match="weight"):
        other.load_flat_state(tensors, values)


def test_making_an_optimiser_and_stepping_does_not_import_torchs_compiler():
    """Which takes a second of every process, and is not used."""
    code = """
import sys
import torch
from hyperprune.optim import build_optimizer
model = torch.nn.Linear(2, 2)
for name in ("snt_asgd", "sgd", "adam", "adamw"):
    optimizer = build_optimizer(name, model, lr=0.1, weight_decay=0.0)
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
