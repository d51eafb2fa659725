"""Initial weights of a sparse network: what a mask takes from a unit's variance is given back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hyperprune.errors import SparsityError
from hyperprune.sparsity import SparseTraining
from hyperprune.sparsity.scale import compensation

# A mask of density 1/2 whose rows hold 4, 1, 3 and 0 of 4 places:
#   1 1 1 1
#   0 1 0 0
#   1 1 0 1
#   0 0 0 0
MASK = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)


def test_variance_is_one_over_the_root_of_the_tensors_density() -> None:
    assert compensation(MASK, "variance") == pytest.approx(2**0.5)


def test_fan_in_is_one_over_the_root_of_each_rows_density() -> None:
    factors = compensation(MASK, "fan_in")
    assert isinstance(factors, torch.Tensor)
    assert factors.shape == (4, 1)
    assert factors.flatten().tolist() == pytest.approx([1.0, 2.0, (4 / 3) ** 0.5, 2.0])


def test_none_and_a_dense_tensor_change_nothing() -> None:
    assert compensation(MASK, "none") == 1.0
    dense = torch.ones(3, 5, dtype=torch.bool)
    assert compensation(dense, "variance") == 1.0
    assert torch.equal(torch.as_tensor(compensation(dense, "fan_in")), torch.ones(3, 1))


def network() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"embed": nn.Embedding(200, 60), "out": nn.Linear(60, 200)})


def made(scale: str, **settings: object) -> tuple[nn.ModuleDict, SparseTraining]:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    given = {"density": 0.2, "init": "er", "init_scale": scale, "seed": 3, **settings}
    return model, SparseTraining(model, optimizer, **given)  # type: ignore[arg-type]


def test_masked_tensors_are_scaled_each_by_its_own_density_and_the_masks_stay() -> None:
    plain, one = made("none")
    scaled, two = made("variance")
    for name, mask in one.masks.items():
        assert torch.equal(mask, two.masks[name])
        factor = (mask.numel() / int(mask.sum())) ** 0.5
        assert torch.allclose(scaled.get_parameter(name), plain.get_parameter(name) * factor)
    assert torch.equal(scaled.get_parameter("out.bias"), plain.get_parameter("out.bias"))


def test_excluded_tensors_keep_their_weights() -> None:
    model, _ = made("variance", exclude=["embed.*"])
    assert torch.equal(model.get_parameter("embed.weight"), network().get_parameter("embed.weight"))


def test_unscaled_tensors_keep_their_weights_and_are_masked() -> None:
    scaled, whole = made("variance")
    model, sparse = made("variance", unscaled=["out.*"])
    mask = sparse.masks["out.weight"]
    assert all(torch.equal(mask, whole.masks[name]) for name, mask in sparse.masks.items())
    assert torch.equal(model.get_parameter("out.weight"), network().out.weight * mask)
    embedded = model.get_parameter("embed.weight")
    assert torch.equal(embedded, scaled.get_parameter("embed.weight"))


def test_a_glob_of_unscaled_tensors_that_names_none_is_refused() -> None:
    known = "unscaled 'out.wieght' matches no weight .did you mean 'out.weight'.*embed.weight"
    with pytest.raises(SparsityError, match=known):
        made("variance", unscaled=["out.wieght"])
    made("variance", exclude=["embed.*"], unscaled=["embed.*"])  # which is not scaled anyhow


def test_gradual_pruning_starts_from_the_dense_networks_weights() -> None:
    model, _ = made("variance", initial_density=1.0, stop=0.5)
    for name, weight in network().named_parameters():
        assert torch.equal(model.get_parameter(name), weight)


@pytest.mark.parametrize("scale", ["variance", "fan_in"])
def test_a_unit_receives_as_much_variance_as_in_the_dense_network(scale: str) -> None:
    """Over many inputs: the mean square of a word's entries, and of what the output units receive."""
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(2000, 60, generator=draw)
    dense = network()
    sparse, _ = made(scale)
    for name, given in (("embed.weight", None), ("out.weight", x)):
        ours = sparse.get_parameter(name).detach()
        theirs = dense.get_parameter(name).detach()
        if given is not None:
            ours, theirs = given @ ours.T, given @ theirs.T
        assert float(ours.square().mean() / theirs.square().mean()) == pytest.approx(1, abs=0.08)


def test_an_unknown_scale_says_so() -> None:
    with pytest.raises(SparsityError, match=r"'varience'.*did you mean 'variance'"):
        made("varience")
