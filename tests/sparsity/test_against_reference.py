"""An update of the engine is the update of the definition, transcribed slowly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import mask_update
from torch import nn

from hyperprune.hookspecs import control
from hyperprune.sparsity import SparseTraining


def by_weight(view):
    return view.weight.abs()


@control(counts="network")
def by_weight_of_network(view):
    return view.weight.abs()


def by_gradient(view):
    return view.gradient.abs()


def by_magnitude(view):
    return float(view.weight.abs().sum() / view.mask.sum())


def by_count(view):
    return float(view.mask.sum())


class Rows(nn.Module):
    """Tensors of one row each, with weights and gradients that all differ."""

    def __init__(self, sizes, seed):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        order = torch.randperm(2 * sum(sizes), generator=draw) + 1.0
        order *= torch.where(torch.rand(order.shape, generator=draw) < 0.5, -1.0, 1.0)
        weights, gradients = order.chunk(2)
        for index, (row, slope) in enumerate(
            zip(weights.split(sizes), gradients.split(sizes), strict=True)
        ):
            parameter = nn.Parameter(row[None].clone())
            parameter.grad = slope[None].clone()
            setattr(self, f"w{index}", parameter)


@pytest.mark.parametrize("removal", [by_weight, by_weight_of_network])
@pytest.mark.parametrize("redistribution", [None, by_magnitude, by_count])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(2, 12), min_size=1, max_size=4),
    density=st.floats(0.3, 0.9),
    rate=st.floats(0, 0.9),
    seed=st.integers(0, 2**31),
)
def test_one_update(removal, redistribution, sizes, density, rate, seed):
    density = max(density, len(sizes) / sum(sizes))
    model = Rows(sizes, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    chosen = {"redistribution": redistribution} if redistribution else {}
    sparse = SparseTraining(
        model,
        optimizer,
        density=density,
        removal=removal,
        growth=by_gradient,
        schedule=lambda progress, start: start,
        removal_rate=rate,
        seed=seed,
        **chosen,
    )
    parameters = list(model.parameters())
    active = [mask[0].tolist() for mask in sparse.masks.values()]
    weights = [parameter[0].abs().tolist() for parameter in parameters]
    slopes = [parameter.grad[0].abs().tolist() for parameter in parameters]
    if redistribution is by_magnitude:
        shares = [
            sum(w for w, on in zip(row, flags, strict=True) if on) / sum(flags)
            for row, flags in zip(weights, active, strict=True)
        ]
    else:
        shares = [float(sum(flags)) for flags in active]

    if removal is by_weight:
        gone = [
            mask_update.removed(row, flags, rate)
            for row, flags in zip(weights, active, strict=True)
        ]
    else:
        gone = mask_update.removed_from_network(weights, active, rate)
    after = [
        [on and i not in lost for i, on in enumerate(flags)]
        for flags, lost in zip(active, gone, strict=True)
    ]
    lost = [len(places) for places in gone]
    room = [len(flags) - sum(flags) for flags in after]
    counts = lost if redistribution is None else mask_update.shared(sum(lost), shares, room)
    expected = []
    for flags, slope, count in zip(after, slopes, counts, strict=True):
        new = mask_update.grown(slope, flags, count)
        expected.append([on or i in new for i, on in enumerate(flags)])

    sparse.step(update=True, progress=0.0)
    assert [mask[0].tolist() for mask in sparse.masks.values()] == expected
