"""Optimisers within the masks: state from before, steps by hand, closures, scalers, copies."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from hyperprune.errors import SparsityError, SparsityNotice
from hyperprune.optim import SNTASGD
from hyperprune.sparsity import SparseTraining

DENSITY = 0.2


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))


def backward(model: nn.Module, seed: int = 0, scale: float = 1.0) -> Tensor:
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(seed))
    model.zero_grad()
    loss: Tensor = model(x).square().mean()
    (loss * scale).backward()
    return loss


def strays(sparse: SparseTraining, optimizer: optim.Optimizer | None = None) -> int:
    """Weights and state outside the masks that are not 0."""
    found = 0
    for tensor in sparse._tensors:
        state = (optimizer or sparse.optimizer).state.get(tensor.parameter, {}).values()
        held = [v for v in state if isinstance(v, Tensor) and v.shape == tensor.mask.shape]
        held = [v for v in held if v.is_floating_point()]
        for values in (tensor.parameter.detach(), *held):
            found += int(values[~tensor.mask].count_nonzero())
    return found


def momentum(model: nn.Module) -> optim.Optimizer:
    return optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)


MAKERS = {
    "sgd": momentum,
    "adam": lambda model: optim.Adam(model.parameters(), weight_decay=0.01),
    "adamw": lambda model: optim.AdamW(model.parameters()),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_optimiser_with_dense_state_is_cut(make: Any) -> None:
    model = net()
    optimizer = make(model)
    backward(model)
    optimizer.step()
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    assert strays(sparse) == 0
    for seed in range(3):
        backward(model, seed)
        sparse.step(update=seed == 1)
        assert strays(sparse) == 0
    assert sum(sparse.counts().values()) == round(DENSITY * (8 * 16 + 16 * 4))


def test_a_second_engine_takes_the_optimiser_over() -> None:
    model = net()
    optimizer = momentum(model)
    first = SparseTraining(model, optimizer, density=0.6, seed=1)
    backward(model)
    first.step()
    second = SparseTraining(model, optimizer, density=DENSITY, seed=2)
    for seed in range(3):
        backward(model, seed)
        second.step()
    assert strays(second) == 0
    new = second.masks["2.weight"] & ~first.masks["2.weight"]
    assert model[2].weight.detach()[new].any(), "the first engine's masks still cut"
    with pytest.raises(SparsityError, match="another one has been made"):
        first.step()


def test_engines_of_different_weights_share_an_optimiser_and_others_are_refused() -> None:
    model = net()
    optimizer = momentum(model)
    first = SparseTraining(model, optimizer, density=0.5, exclude=["2.*"])
    second = SparseTraining(model, optimizer, density=0.3, exclude=["0.*"])
    backward(model)
    second.step()
    assert strays(first) == strays(second) == 0
    first.release()
    SparseTraining(model, optimizer, density=0.5)  # of all weights: takes the second's over
    with pytest.raises(SparsityError, match="exclude what it has"):
        SparseTraining(model, optimizer, density=0.5, exclude=["2.*"])


def test_going_on_without_the_engines_state_cuts_what_was_loaded() -> None:
    model = net()
    optimizer = momentum(model)
    sparse = SparseTraining(model, optimizer, density=DENSITY, seed=1)
    backward(model)
    sparse.step()
    weights, state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    model = net()
    optimizer = momentum(model)
    other = SparseTraining(model, optimizer, density=DENSITY, seed=2)
    model.load_state_dict(weights)
    optimizer.load_state_dict(state)
    backward(model)
    other.step()
    assert strays(other) == 0


def test_loading_the_engine_last_loses_nothing() -> None:
    model = net()
    optimizer = momentum(model)
    sparse = SparseTraining(model, optimizer, density=DENSITY, seed=1)
    for seed in range(3):
        backward(model, seed)
        sparse.step(update=seed == 1)
    kept = copy.deepcopy((model.state_dict(), optimizer.state_dict())), sparse.state_dict()
    again = net()
    new = momentum(again)
    other = SparseTraining(again, new, density=DENSITY, seed=2)
    again.load_state_dict(kept[0][0])
    new.load_state_dict(kept[0][1])
    other.load_state_dict(*kept[1])
    for m, s in ((model, sparse), (again, other)):
        backward(m, 9)
        s.step()
    for mine, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_snapshot_is_a_copy() -> None:
    model = net()
    sparse = SparseTraining(model, momentum(model), density=DENSITY, growth="momentum")
    backward(model)
    sparse.step()
    best, _ = sparse.state_dict()
    masks = sparse.masks
    before = {name: tensor.clone() for name, tensor in best.items()}
    for seed in range(4):
        backward(model, seed)
        sparse.step(update=True)
    assert all(torch.equal(best[name], tensor) for name, tensor in before.items())
    assert any(not torch.equal(masks[name], mask) for name, mask in sparse.masks.items())


# ── steps that others take ───────────────────────────────────────────────────────────────────────


class Noisy(optim.Adam):
    """A subclass that moves every weight and every moment."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data += 0.01
                self.state[parameter]["exp_avg"] += 0.01
        return loss


def test_a_subclass_is_not_what_it_inherits_from() -> None:
    model = net()
    sparse = SparseTraining(model, Noisy(model.parameters()), density=DENSITY)
    backward(model)
    sparse.step()
    assert strays(sparse) == 0


def noise(optimizer: optim.Optimizer, *_: Any) -> None:
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.data += 0.01


@pytest.mark.parametrize("way", ["hook", "patch", "epsilon"])
def test_a_proof_that_turns_out_wrong_is_not_relied_on(way: str) -> None:
    model = nn.Sequential(nn.Linear(32, 64), nn.Linear(64, 32))
    optimizer = optim.Adam(model.parameters(), eps=0.0 if way == "epsilon" else 1e-8)
    if way == "hook":
        optimizer.register_step_post_hook(noise)
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    assert sparse._guards[0].proven
    step = optimizer.step
    if way == "patch":
        optimizer.step = lambda: (step(), noise(optimizer))  # type: ignore[method-assign, assignment]
    for seed in range(3):
        model.zero_grad()
        x = torch.randn(6, 32, generator=torch.Generator().manual_seed(seed))
        model(x).square().mean().backward()
        sparse.step(update=seed == 1)
        assert strays(sparse) == 0
        assert not sparse._guards[0].proven


def test_a_proof_that_holds_is_relied_on() -> None:
    model = nn.Sequential(nn.Linear(32, 64), nn.Linear(64, 32))
    sparse = SparseTraining(model, optim.Adam(model.parameters()), density=DENSITY)
    for seed in range(3):
        model.zero_grad()
        x = torch.randn(6, 32, generator=torch.Generator().manual_seed(seed))
        model(x).square().mean().backward()
        sparse.step(update=seed == 1)
        assert strays(sparse) == 0
    assert sparse._guards[0].proven


def test_the_optimiser_stepped_by_hand_stays_sparse() -> None:
    model = net()
    optimizer = Noisy(model.parameters())
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    backward(model)
    optimizer.step()
    assert strays(sparse) == 0
    optimizer.step(lambda: backward(model))
    assert strays(sparse) == 0
    assert sparse.steps == 0


def test_a_second_optimiser_is_guarded_and_wants_its_turn_last() -> None:
    model = net()
    first, second = momentum(model), optim.Adam(model.parameters())
    backward(model)
    second.step()  # with dense state
    sparse = SparseTraining(model, first, density=DENSITY, growth="gradient")
    sparse.guard(second)
    for seed in range(3):
        backward(model, seed)
        sparse.step(update=True)
        second.step()
        assert strays(sparse) == strays(sparse, second) == 0
    backward(model)
    second.step()
    with pytest.raises(SparsityError, match=r"gradient of 0\.weight has been masked already"):
        sparse.step(update=True)
    SparseTraining(model, first, density=0.1)  # takes both over
    backward(model)
    second.step()
    assert sum(int(p.count_nonzero()) for p in model.parameters() if p.dim() > 1) <= 20


def test_an_optimiser_that_is_not_known_is_told_of() -> None:
    model = net()
    first, second = momentum(model[0]), momentum(model[2])
    sparse = SparseTraining(model, first, density=DENSITY)
    backward(model)
    sparse.step()
    second.step()
    backward(model)
    with pytest.warns(SparsityNotice, match=r"2\.weight is trained by an optimiser .* guard\(\)"):
        sparse.step()
    sparse.guard(second)
    second.step()
    assert strays(sparse) == strays(sparse, second) == 0
    with torch.no_grad():
        model[2].weight.fill_(1.0)  # by a person
    backward(model)
    sparse.step()


def test_one_backward_cannot_serve_two_updates() -> None:
    model = net()
    sparse = SparseTraining(model, momentum(model), density=DENSITY)
    backward(model)
    sparse.step(update=True)
    with pytest.raises(SparsityError, match="once after each backward"):
        sparse.step(update=True)


def test_an_optimiser_without_hooks_is_masked_by_the_engines_step() -> None:
    class Bare:
        """Looks like an optimiser; is none of torch's."""

        def __init__(self, params: Any) -> None:
            self.param_groups, self.state = [{"params": list(params)}], {}

        def step(self) -> None:
            for parameter in self.param_groups[0]["params"]:
                parameter.data -= 0.1

    model = net()
    bare: Any = Bare(model.parameters())
    sparse = SparseTraining(model, bare, density=DENSITY)
    backward(model)
    sparse.step()
    assert strays(sparse) == 0


def test_another_models_optimiser_is_refused() -> None:
    with pytest.raises(SparsityError, match="trains none of the weights"):
        SparseTraining(net(), momentum(net()), density=DENSITY)


def test_a_mistaken_engine_leaves_the_first_in_charge() -> None:
    model = net()
    optimizer = momentum(model)
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    with pytest.raises(SparsityError):
        SparseTraining(model, optimizer, density=1e-9)
    with pytest.raises(SparsityError):
        SparseTraining.resume(model, optimizer, masks={})
    with pytest.raises(SparsityError, match="unscaled"):
        SparseTraining(model, optimizer, density=DENSITY, unscaled=["typo.*"])
    backward(model)
    sparse.step(update=True)
    assert strays(sparse) == 0


def test_released_weights_train_densely() -> None:
    model = net()
    optimizer = momentum(model)
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    sparse.release()
    backward(model)
    optimizer.step()
    assert strays(sparse) > 0
    with pytest.raises(SparsityError, match="let go of its weights"):
        sparse.step()


def test_the_optimiser_can_be_exchanged() -> None:
    model = net()
    sparse = SparseTraining(model, momentum(model), density=DENSITY)
    masks = sparse.masks
    other = optim.Adam(model.parameters())
    backward(model)
    sparse.optimizer = other
    sparse.step()
    assert strays(sparse) == 0
    assert sparse.optimizer is other
    assert all(torch.equal(mask, masks[name]) for name, mask in sparse.masks.items())


def test_an_exchange_that_is_refused_leaves_the_first_in_charge() -> None:
    model = net()
    mine, all_of_it = momentum(model[0]), momentum(model)
    sparse = SparseTraining(model[0], mine, density=DENSITY)
    SparseTraining(model, all_of_it, density=DENSITY)
    for way in (lambda: setattr(sparse, "optimizer", all_of_it), lambda: sparse.guard(all_of_it)):
        with pytest.raises(SparsityError, match="exclude what it has"):
            way()
    assert sparse.optimizer is mine
    backward(model)
    mine.step()
    assert strays(sparse) == 0


# ── fresh state, and other optimisers' ways ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "key", "fresh"),
    [
        (lambda p: optim.Rprop(p, lr=0.03), "step_size", 0.03),
        (lambda p: optim.Adagrad(p, lr=0.1, initial_accumulator_value=0.5), "sum", 0.5),
        (lambda p: optim.Adamax(p), "exp_inf", 0.0),
    ],
)
def test_state_outside_the_masks_is_what_the_optimiser_begins_with(
    make: Any, key: str, fresh: float
) -> None:
    model = net()
    optimizer = make(model.parameters())
    backward(model)
    optimizer.step()
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    for seed in range(4):
        before = sparse.masks
        backward(model, seed)
        sparse.step(update=True)
        for name, mask in sparse.masks.items():
            held = optimizer.state[model.get_parameter(name)][key]
            assert torch.equal(held[~mask], torch.full_like(held[~mask], fresh))
    new = sparse.masks["0.weight"] & ~before["0.weight"]
    if isinstance(optimizer, optim.Rprop):  # a step of 0 would stay at the smallest there is
        assert model[0].weight.detach()[new].abs().min() >= 0.03


def test_weights_written_from_outside_do_not_reach_the_optimisers_state() -> None:
    model = net()
    sparse = SparseTraining(model, momentum(model), density=DENSITY)
    with torch.no_grad():
        model[0].weight.add_(1.0)  # weight decay would carry it into the momentum
    backward(model)
    sparse.step()
    assert strays(sparse) == 0


def test_nothing_that_an_inactive_gradient_holds_reaches_a_weight() -> None:
    model = net()
    sparse = SparseTraining(model, momentum(model), density=DENSITY, growth="momentum")
    for bad in (float("nan"), float("inf")):
        backward(model)
        for name, mask in sparse.masks.items():
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            gradient[~mask] = bad
        sparse.step()
        assert strays(sparse) == 0
        assert all(p.isfinite().all() for p in model.parameters())
    backward(model)
    sparse.step(update=True)  # the averages of these gradients are put right as well
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_sparse_gradient_is_made_dense() -> None:
    class Words(nn.Module):
        def __init__(self, sparse: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.embed = nn.Embedding(9, 5, sparse=sparse)
            self.out = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.out(self.embed(x))
            return out

    def trained(sparse: bool) -> list[Tensor]:
        model = Words(sparse)
        engine = SparseTraining(
            model, optim.Adam(model.parameters()), density=0.4, growth="momentum"
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for seed in range(5):
                model.zero_grad()
                words = torch.arange(seed, seed + 4)
                model(words).square().sum().backward()
                engine.step(update=seed == 2)
        told = [w for w in caught if w.category is SparsityNotice]
        assert len(told) == (1 if sparse else 0)
        return [p.detach() for p in model.parameters()]

    for mine, theirs in zip(trained(True), trained(False), strict=True):
        assert torch.equal(mine, theirs)


# ── closures ─────────────────────────────────────────────────────────────────────────────────────


def test_a_closure_computes_the_loss_and_is_called_once() -> None:
    def trained(closure: bool) -> tuple[list[Tensor], int]:
        model = net()
        sparse = SparseTraining(
            model, momentum(model), density=DENSITY, every=2, total_steps=10, growth="gradient"
        )
        calls = []
        for seed in range(6):

            def loss(seed: int = seed) -> Tensor:
                calls.append(seed)
                return backward(model, seed)

            if closure:
                assert sparse.step(loss).item() > 0
            else:
                loss()
                sparse.step()
        assert calls == list(range(6))
        assert sparse.updates == 2
        return [p.detach() for p in model.parameters()], sparse.updates

    for mine, theirs in zip(trained(True)[0], trained(False)[0], strict=True):
        assert torch.equal(mine, theirs)


def test_update_and_progress_are_given_by_name() -> None:
    model = net()
    sparse = SparseTraining(model, momentum(model), density=DENSITY)
    with pytest.raises(SparsityError, match=r"step\(update=True\)"):
        sparse.step(True)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        sparse.step(None, True)  # type: ignore[misc]
    with pytest.raises(SparsityError, match=r"LBFGS .* use another optimiser"):
        SparseTraining(model, optim.LBFGS(model.parameters()), density=DENSITY)


# ── a step that fails ────────────────────────────────────────────────────────────────────────────


def fails(view: Any) -> Tensor:
    if view.name == "2.weight":
        raise ValueError("no answer")
    return torch.rand_like(view.weight)


@pytest.mark.parametrize("kind", ["removal", "growth"])
def test_an_update_happens_whole_or_not_at_all(kind: str) -> None:
    model = net()
    optimizer = momentum(model)
    sparse = SparseTraining(model, optimizer, density=DENSITY, **{kind: fails})
    backward(model)
    sparse.step()
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict(), sparse.state_dict()))
    backward(model)
    with pytest.raises(ValueError, match="no answer"):
        sparse.step(update=True)
    after = model.state_dict(), optimizer.state_dict(), sparse.state_dict()
    assert str(before) == str(after)
    sparse.step(update=False)
    assert strays(sparse) == 0


# ── copies ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [momentum, lambda m: SNTASGD(m.parameters(), lr=0.1)])
def test_a_deep_copy_of_all_three_goes_on_alike_and_apart(make: Any) -> None:
    model = net()
    optimizer = make(model)
    optimizer.averaging = True
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    backward(model)
    sparse.step()
    twin, twins_optimizer, twins_sparse = copy.deepcopy((model, optimizer, sparse))
    for m, s in ((model, sparse), (twin, twins_sparse)):
        backward(m, 1)
        s.step(update=True)
        backward(m, 2)
        s.optimizer.step()
        assert strays(s) == 0
    assert twins_sparse.optimizer is twins_optimizer is not optimizer
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine is not theirs


def test_averaged_sgd_needs_no_names_and_saves_where_averaging_stands() -> None:
    model = net()
    optimizer = SNTASGD(model.parameters(), lr=0.1)
    optimizer.averaging = True
    sparse = SparseTraining(model, optimizer, density=DENSITY)
    for seed in range(4):
        backward(model, seed)
        sparse.step(update=seed == 2)
    again = net()
    other = SNTASGD(again.parameters(), lr=0.1)
    again.load_state_dict(model.state_dict())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    engine = SparseTraining.resume(again, other, masks=sparse.masks)
    for m, s in ((model, sparse), (again, engine)):
        backward(m, 9)
        s.step()
    with optimizer.averaged(), other.averaged():
        for mine, theirs in zip(model.parameters(), again.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    tensors, values = optimizer.flat_state()
    other.load_flat_state(tensors, values)
    assert list(tensors) == list(other.flat_state()[0])
