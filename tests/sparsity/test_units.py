"""Units that move as one: exact on a network small enough to draw, whole and counted on all that ship."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn, optim

from hyperprune.builtin.controls import REMOVALS
from hyperprune.builtin.models import MODELS
from hyperprune.errors import HyperpruneError, SparsityError
from hyperprune.export.shrink import living
from hyperprune.model import Place, Units
from hyperprune.sparsity import SparseTraining

NETWORKS: dict[str, dict[str, Any]] = {
    "stacked_lstm": {"hidden": 6},
    "gru": {"hidden": [5, 7], "tied": True},
    "rnn": {"hidden": 9, "layers": 1},
    "rhn": {"hidden": 6, "depth": 2, "layers": 2},
    "on_lstm": {"embedding": 6, "hidden": 9, "chunk": 3},
    "awd_lstm_mos": {"embedding": 5, "hidden": 7, "last": 6, "experts": 3},
    "min_gru": {"hidden": 6, "embedding": 5, "layers": 2, "expansion": 1, "tied": True},
    "lru": {"hidden": 4, "embedding": 6, "layers": 2, "expansion": 1},
    "mlstm": {"hidden": 6, "heads": 2, "layers": 2, "expansion": 1},
}


class Drawn(nn.Module):
    """Three units with own weights and a read-out."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.diag(torch.tensor([1.0, 5, 3])))
        self.bias = nn.Parameter(torch.ones(3))
        self.read = nn.Parameter(torch.ones(1, 3))

    def units(self) -> dict[str, Units]:
        own = (Place("own", 0), Place("bias", 0), Place("own", 1, sends=True))
        return {"layer": Units(3, (*own, Place("read", 1, sends=True)))}


def test_a_unit_goes_with_its_rows_and_columns_and_another_comes() -> None:
    # own  1 0 0   unit 0: (1 + 1 + 1) / 7    read  1 1 1
    #      0 5 0        1: (5 + 5 + 1) / 7
    #      0 0 3        2: (3 + 3 + 1) / 7    two of three stay: 1 and 2
    model = Drawn()
    sparse = SparseTraining(
        model,
        optim.SGD(model.parameters(), lr=0.0),
        density=2 / 3,
        block="units",
        init={"name": "magnitude"},
        removal="magnitude",
        growth="gradient",
        schedule="constant",
        removal_rate=0.5,
    )
    assert sparse.masks["own"].int().tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert sparse.masks["read"].int().tolist() == [[0, 1, 1]]
    # Unit 2 goes. What would join 0 and 2 to unit 1 has gradients 2 and 1; the 100 would join them
    # to each other, and count for nothing.
    model.own.grad = torch.tensor([[0.0, 2, 100], [0, 0, 0], [0, 1, 0]])
    model.read.grad = torch.zeros(1, 3)
    sparse.step(update=True)
    assert sparse.masks["own"].int().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert sparse.masks["read"].int().tolist() == [[1, 1, 0]]
    assert model.own.tolist() == [[0, 0, 0], [0, 5, 0], [0, 0, 0]]


def trained(name: str, **said: Any) -> tuple[nn.Module, SparseTraining]:
    torch.manual_seed(0)
    model = MODELS[name](29, **NETWORKS[name])
    sparse = SparseTraining(
        model,
        optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        block="units",
        gradients=lambda: {n: torch.randn_like(p) for n, p in model.named_parameters()},
        **{"every": 1, "total_steps": 8, **said},
    )
    return model, sparse


def checked(model: nn.Module, sparse: SparseTraining, density: float) -> None:
    """Every layer has its exact number of units, and those alone are what is left to cut to."""
    units = model.units()  # type: ignore[operator]
    masks = sparse.masks
    for name, mask in masks.items():
        assert not model.get_parameter(name).detach()[~mask].any()
    kept = living({n: masks.get(n, p) for n, p in model.named_parameters()}, units)
    for name, stays in kept.items():
        size = units[name].size
        whole = units[name].silent or (name == "embedding" and not model.tied)
        assert int(stays.sum()) == (size if whole else max(1, round(density * size)))
        for place in units[name].places:
            if place.weight in masks:
                entries = masks[place.weight].movedim(place.dim, 0)
                for start in place.starts:
                    assert torch.equal(entries[start : start + size].any(1), stays)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_that_ships_keeps_whole_units(name: str) -> None:
    model, sparse = trained(name, density=0.6, growth="gradient", removal_rate=0.5)
    checked(model, sparse, 0.6)
    before = sparse.masks
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        sparse.step()
        checked(model, sparse, 0.6)
    assert any(not torch.equal(before[n], mask) for n, mask in sparse.masks.items())


@pytest.mark.parametrize("removal", sorted(REMOVALS))
def test_every_removal_takes_whole_units_and_a_density_that_falls_is_met(removal: str) -> None:
    model, sparse = trained(
        "stacked_lstm", density=0.4, initial_density=1.0, stop=0.5, removal=removal
    )
    checked(model, sparse, 1.0)
    for _ in range(8):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        sparse.step()
    checked(model, sparse, 0.4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mlstm", "normed together"),
        ("slstm", "normed together"),
        ("lru", "needs a bias to come back"),
    ],
)
def test_units_that_cannot_move_are_refused(name: str, said: str) -> None:
    model = MODELS[name](29, hidden=8, layers=1, expansion=0)
    with pytest.raises(HyperpruneError, match=said):
        SparseTraining(model, optim.SGD(model.parameters(), lr=0.1), density=0.5, block="units")


def test_masks_go_on_in_their_units_and_others_are_refused() -> None:
    _, sparse = trained("gru", density=0.5)
    masks = sparse.masks
    _, again = trained("gru", masks=masks)
    assert all(torch.equal(again.masks[n], mask) for n, mask in masks.items())
    assert again.timing.density == pytest.approx(0.5, abs=0.1)
    _, again = trained("gru", masks=masks, density=0.5)
    assert not again.timing.gradual
    ragged = {n: mask.clone() for n, mask in masks.items()}
    row = ragged["rnn.weight_hh_l0"].any(1).nonzero()[0]
    ragged["rnn.weight_hh_l0"][row] = False
    with pytest.raises(SparsityError, match="weight_hh_l0 is not masked in whole units"):
        trained("gru", masks=ragged)


def test_what_is_frozen_keeps_its_units() -> None:
    model, sparse = trained("stacked_lstm", density=0.5, removal_rate=0.5, growth="random")
    before = sparse.masks
    model.rnn.weight_hh_l0.requires_grad_(False)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) if parameter.requires_grad else None
    sparse.step()
    with pytest.warns(UserWarning, match="is frozen"):
        sparse.step()
    assert torch.equal(sparse.masks["rnn.weight_hh_l0"], before["rnn.weight_hh_l0"])
    assert not torch.equal(sparse.masks["rnn.weight_hh_l1"], before["rnn.weight_hh_l1"])
    checked(model, sparse, 0.5)
