"""The engine: what is masked, when the topology changes, and that nothing is left behind."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperprune.errors import Diverged, SparsityError
from hyperprune.hookspecs import control
from hyperprune.optim import SNTASGD, build_optimizer
from hyperprune.sparsity import SparseTraining, TensorView, Topology


class Tagger(nn.Module):
    """Embedding, nn.LSTM with its flat weights, a norm and a decoder."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 6, 2)
        self.norm = nn.LayerNorm(6)
        self.decode = nn.Linear(6, 11)
        if tied:
            self.decode.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.decode(self.norm(self.lstm(self.embed(tokens))[0]))
        return out


MASKED = 11 * 6 * 2 + 4 * 24 * 6


def backward(model: nn.Module, seed: int) -> None:
    tokens = torch.randint(11, (5, 3), generator=torch.Generator().manual_seed(seed))
    model.zero_grad()
    logits = model(tokens[:-1])
    nn.functional.cross_entropy(logits.flatten(0, 1), tokens[1:].flatten()).backward()


def engine(
    model: nn.Module | None = None, optimizer: str = "sgd", **settings: Any
) -> tuple[nn.Module, SparseTraining]:
    model = model or Tagger()
    made = build_optimizer(optimizer, model, lr=0.5, weight_decay=1e-3)
    settings = {"init": "uniform", "growth": "random", **settings}
    return model, SparseTraining(model, made, **{"density": 0.33, **settings})


def check_exact(model: nn.Module, sparse: SparseTraining, total: int) -> None:
    assert sum(sparse.counts().values()) == total
    for name, mask in sparse.masks.items():
        weight = model.get_parameter(name)
        assert not weight[~mask].any()
        assert sparse.counts()[name] == int(mask.sum()) > 0
        state = sparse.optimizer.state.get(weight, {})
        for value in state.values():
            if isinstance(value, Tensor) and value.is_floating_point() and value.dim():
                assert not value[~mask].any()


# ── what is masked ───────────────────────────────────────────────────────────────────────────────


def test_every_weight_matrix_is_masked_and_nothing_else() -> None:
    _, sparse = engine()
    assert list(sparse.masks) == [
        "embed.weight",
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "lstm.weight_ih_l1",
        "lstm.weight_hh_l1",
        "decode.weight",
    ]
    assert sum(mask.numel() for mask in sparse.masks.values()) == MASKED
    assert sum(sparse.counts().values()) == round(0.33 * MASKED)


def test_a_tied_pair_counts_once() -> None:
    model, sparse = engine(Tagger(tied=True))
    assert "decode.weight" not in sparse.masks
    backward(model, 0)
    sparse.step(update=True)
    check_exact(model, sparse, round(0.33 * (MASKED - 66)))


def test_exclude_takes_globs_and_refuses_those_that_match_nothing() -> None:
    _, sparse = engine(exclude=["embed*", "*hh_l1"])
    assert list(sparse.masks) == [
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "lstm.weight_ih_l1",
        "decode.weight",
    ]
    with pytest.raises(SparsityError, match=r"'embed.wieght'.*did you mean 'embed.weight'"):
        engine(exclude=["embed.wieght"])
    with pytest.raises(SparsityError, match="no weight is left"):
        engine(exclude=["*"])


def test_frozen_weights_stay_dense() -> None:
    model = Tagger()
    model.embed.weight.requires_grad_(False)
    _, sparse = engine(model)
    assert "embed.weight" not in sparse.masks


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"density": 0.0}, "density 0.0"),
        ({"density": 1.5}, "density 1.5"),
        ({"density": 0.5, "initial_density": 0.4}, "never rises"),
        ({"density": 0.5, "initial_density": 1.0}, "0 < stop < 1"),
        ({"removal_rate": 1.5}, "removal rate 1.5"),
        ({"every": 10}, "total_steps"),
        ({"every": 0, "total_steps": 10}, "total_steps"),
        ({"density": 1e-3}, "1 active weights for 6 tensors"),
        ({"gates": {"decode.weight": ["a", "b"]}}, "do not fill a tensor of 11 rows"),
    ],
)
def test_settings_that_make_no_sense_say_so(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SparsityError, match=message):
        engine(**settings)


# ── steps and updates ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("optimizer", ["snt_asgd", "sgd", "adam", "adamw"])
def test_state_of_inactive_weights_is_zero_at_every_step(optimizer: str) -> None:
    model, sparse = engine(optimizer=optimizer, every=3, total_steps=30, growth="gradient")
    for step in range(14):
        if step == 5 and isinstance(sparse.optimizer, SNTASGD):
            sparse.optimizer.averaging = True
        backward(model, step)
        sparse.step()
        check_exact(model, sparse, round(0.33 * MASKED))
        if isinstance(sparse.optimizer, SNTASGD):
            with sparse.optimizer.averaged():
                check_exact(model, sparse, round(0.33 * MASKED))
    assert sparse.updates == 4


def test_momentum_of_torchs_own_sgd_is_wiped_too() -> None:
    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, nesterov=True)
    sparse = SparseTraining(model, optimizer, density=0.5)
    for step in range(6):
        backward(model, step)
        sparse.step(update=step % 2 == 1)
        check_exact(model, sparse, round(0.5 * MASKED))


def test_an_optimizer_that_moves_zeros_is_masked_after_its_step() -> None:
    class Restless(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data.add_(1.0)

    class Bare(torch.optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})

        step = Restless.step  # type: ignore[assignment]

    model = Tagger()
    sparse = SparseTraining(model, Bare(model.parameters()), density=0.5)
    backward(model, 0)
    sparse.step()
    check_exact(model, sparse, round(0.5 * MASKED))


def test_grown_weights_start_at_zero_with_fresh_state() -> None:
    # Four of w = 4 3 2 1 | 1 2 3 4 are active. At r = ½ the two smallest go and two come, at 0.
    model = nn.Linear(4, 2, bias=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    sparse = SparseTraining(model, optimizer, density=0.5, schedule="constant", removal_rate=0.5)
    with torch.no_grad():
        model.weight.copy_(sparse.masks["weight"] * torch.tensor([[4.0, 3, 2, 1], [1, 2, 3, 4]]))
    for _ in range(3):
        model.weight.grad = torch.ones(2, 4)
        sparse.step()
    survivors = model.weight.detach().abs().flatten().topk(2).indices
    model.weight.grad = torch.ones(2, 4)
    sparse.step(update=True)
    mask = sparse.masks["weight"]
    assert int(mask.sum()) == 4
    assert mask.flatten()[survivors].all()
    grown = mask.flatten().clone()
    grown[survivors] = False
    assert not model.weight.detach().flatten()[grown].any()
    # one step of Adam since: exp_avg = 0.1 · 1; survivors have four steps of it
    first_moment = optimizer.state[model.weight]["exp_avg"].flatten()
    torch.testing.assert_close(first_moment[grown], torch.full((2,), 0.1))
    assert (first_moment[survivors] > 0.3).all()


def test_average_of_a_grown_weight_starts_with_its_second_step() -> None:
    model, sparse = engine(optimizer="snt_asgd", schedule="constant")
    optimizer = sparse.optimizer
    assert isinstance(optimizer, SNTASGD)
    optimizer.averaging = True
    history: list[dict[str, Tensor]] = []
    for step in range(9):
        backward(model, step)
        before = {name: mask.clone() for name, mask in sparse.masks.items()}
        sparse.step(update=step == 4)
        if step == 4:
            fresh = {n: m & ~before[n] for n, m in sparse.masks.items()}
        history.append({n: model.get_parameter(n).detach().clone() for n in sparse.masks})
    assert sum(int(mask.sum()) for mask in fresh.values()) > 20
    for name, new in fresh.items():
        average = optimizer.average(model.get_parameter(name))
        since_growth = torch.stack([values[name] for values in history[5:]]).mean(0)
        throughout = torch.stack([values[name] for values in history[1:]]).mean(0)
        stayed = before[name] & sparse.masks[name] & ~new
        torch.testing.assert_close(average[new], since_growth[new])
        # What was removed and came back at once is fresh as well: it has a smaller count.
        kept = stayed & (optimizer.state[model.get_parameter(name)]["since"] == 0)
        torch.testing.assert_close(average[kept], throughout[kept])


def test_gradient_average_is_of_dense_gradients() -> None:
    model, sparse = engine(growth="momentum", redistribution="momentum")
    expected = {
        name: torch.zeros_like(mask, dtype=torch.float32) for name, mask in sparse.masks.items()
    }
    for step in range(4):
        backward(model, step)
        for name in expected:
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            expected[name] = 0.9 * expected[name] + 0.1 * gradient
        sparse.step(update=step == 2)
    tensors, _ = sparse.state_dict()
    for name, average in expected.items():
        torch.testing.assert_close(tensors[f"average.{name}"], average)
    outside = [average[~sparse.masks[name]] for name, average in expected.items()]
    assert torch.cat(outside).any()


def test_averages_of_what_is_never_seen_again_end_at_zero() -> None:
    # A word seen once: its rows would otherwise be denormal after some 800 steps.
    weight = nn.Linear(3, 3, bias=False)
    optimizer = torch.optim.SGD(weight.parameters(), lr=0.1)
    sparse = SparseTraining(weight, optimizer, density=0.5, growth="momentum")
    weight.weight.grad = torch.ones(3, 3)
    sparse.step()
    smallest = float("inf")
    for _ in range(1200):
        weight.weight.grad = torch.zeros(3, 3)
        sparse.step()
        average = sparse.state_dict()[0]["average.weight"]
        if average.any():
            smallest = min(smallest, average.abs().min().item())
    assert not average.any()
    assert smallest > torch.finfo(torch.float32).tiny


def test_updates_every_k_steps_until_stop() -> None:
    model, sparse = engine(every=3, total_steps=20, stop=0.5)
    changed = []
    for step in range(20):
        backward(model, step)
        before = sparse.updates
        sparse.step()
        if sparse.updates > before:
            changed.append(step)
    assert changed == [3, 6, 9]


def test_explicit_updates_obey_stop_as_well() -> None:
    model, sparse = engine(stop=0.5)
    for progress in (0.4, 0.5, 0.9):
        backward(model, 0)
        sparse.step(update=True, progress=progress)
    assert sparse.updates == 1
    assert sparse.steps == 3


def test_static_training_never_changes_its_masks() -> None:
    model, sparse = engine()
    before = {name: mask.clone() for name, mask in sparse.masks.items()}
    for step in range(5):
        backward(model, step)
        sparse.step()
    assert all(torch.equal(mask, sparse.masks[name]) for name, mask in before.items())


def test_gradual_pruning_follows_the_cubic_and_arrives_exactly() -> None:
    # d(t) = 0.2 + 0.8 (1 − t / 0.5)³, updates every 2 of 20 steps, and one on arrival
    model, sparse = engine(
        density=0.2,
        initial_density=1.0,
        removal_rate=0.0,
        schedule="constant",
        every=2,
        total_steps=20,
        stop=0.5,
    )
    assert sum(sparse.counts().values()) == MASKED
    for step in range(20):
        backward(model, step)
        sparse.step()
        reached = min(step - step % 2, 10) / 20
        total = round((0.2 + 0.8 * (1 - reached / 0.5) ** 3) * MASKED)
        check_exact(model, sparse, total)
    assert sparse.updates == 5  # at steps 2, 4, 6, 8 and 10
    assert sparse.topology().exploration == 1.0


@pytest.mark.parametrize("removal", ["magnitude", "global_magnitude", "threshold", "set"])
def test_gradual_pruning_with_regrowth_is_exact(removal: str) -> None:
    model, sparse = engine(
        density=0.1, initial_density=0.7, removal=removal, every=2, total_steps=12, stop=0.9
    )
    for step in range(12):
        backward(model, step)
        sparse.step()
        tensors = sparse.topology().tensors
        assert all(0 < tensor.active <= tensor.size for tensor in tensors)
    check_exact(model, sparse, round(0.1 * MASKED))


def test_snip_asks_for_gradients_of_the_dense_network_once() -> None:
    model = Tagger()
    asked = []

    def gradients() -> dict[str, Tensor]:
        asked.append(1)
        backward(model, 0)
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    scores = {n: (model.get_parameter(n) * g).detach().abs() for n, g in gradients().items()}
    asked.clear()
    _, sparse = engine(model, init="snip", gradients=gradients)
    assert asked == [1]
    total = round(0.33 * MASKED)
    cut = (
        torch.cat([scores[n].flatten() for n in sparse.masks])
        .sort(descending=True)
        .values[total - 1]
    )
    assert sum(sparse.counts().values()) == total
    for name, mask in sparse.masks.items():
        assert mask[scores[name] > cut].all()
    with pytest.raises(SparsityError, match="gradients="):
        engine(init="snip")


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    def run(seed: int) -> Tensor:
        model, sparse = engine(seed=seed, every=2, total_steps=10)
        for step in range(8):
            backward(model, step)
            sparse.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_nn_lstm_keeps_its_flat_weights() -> None:
    model, sparse = engine()
    assert isinstance(model, Tagger)
    pointers = [p.data_ptr() for p in model.lstm.parameters()]
    for step in range(4):
        backward(model, step)
        sparse.step(update=True)
    assert [p.data_ptr() for p in model.lstm.parameters()] == pointers
    assert all(
        w is p for w, p in zip(model.lstm._flat_weights, model.lstm.parameters(), strict=True)
    )


# ── controls that answer badly ───────────────────────────────────────────────────────────────────


def nan(view: TensorView) -> Tensor:
    return torch.full_like(view.weight, float("nan"))


def flat(view: TensorView) -> Tensor:
    return view.weight.flatten()


def words(view: TensorView) -> str:
    return "many"


def minus(view: TensorView) -> float:
    return -1.0


@pytest.mark.parametrize(
    ("kind", "function", "message"),
    [
        ("removal", nan, r"removal 'nan' returned NaN \(tensor embed.weight\)"),
        ("growth", nan, r"growth 'nan' returned NaN"),
        ("removal", flat, r"removal 'flat' returned shape \(66,\); the weights have \(11, 6\)"),
        ("growth", words, "growth 'words' returned str, not a tensor"),
        ("redistribution", words, "redistribution 'words' returned str, not a number"),
        ("redistribution", minus, "redistribution 'minus' returned -1.0"),
        ("schedule", lambda progress, start: 2.0, "returned 2.0 at progress 0.000"),
        ("init", minus, "init 'minus' returned -1.0"),
        ("init", words, "init 'words' returned str"),
        ("init", lambda view: [1.0] * 4, "returned 4 block shares for 11 rows"),
    ],
)
def test_a_bad_answer_names_its_control(
    kind: str, function: Callable[..., Any], message: str
) -> None:
    def run() -> None:
        model, sparse = engine(**{kind: function})
        backward(model, 0)
        sparse.step(update=True)

    with pytest.raises(SparsityError, match=message):
        run()


def test_integers_and_booleans_rank_too() -> None:
    model, sparse = engine(removal=lambda view: view.mask, growth=lambda view: view.mask.int())
    backward(model, 0)
    sparse.step(update=True)
    check_exact(model, sparse, round(0.33 * MASKED))


def test_an_average_that_nobody_declared_is_an_error() -> None:
    model, sparse = engine(growth=lambda view: view.average)
    backward(model, 0)
    with pytest.raises(SparsityError, match=r"@control\(averages=True\)"):
        sparse.step(update=True)


def test_bound_options_keep_what_a_control_declares() -> None:
    @control(averages=True)
    def scaled(view: TensorView, *, factor: float = 1.0) -> Tensor:
        return view.average * factor

    model, sparse = engine(growth=functools.partial(scaled, factor=2.0))
    backward(model, 0)
    sparse.step(update=True)
    check_exact(model, sparse, round(0.33 * MASKED))


def test_a_gradient_before_backward_is_an_error() -> None:
    _, sparse = engine(growth="gradient")
    with pytest.raises(SparsityError, match="after backward"):
        sparse.step(update=True)


def fussy(view: TensorView) -> Tensor:
    raise ArithmeticError("not with these numbers")


@pytest.mark.parametrize(
    ("controls", "value"),
    [
        ({}, "nan"),
        ({"removal": "set"}, "nan"),
        ({"growth": "cell_gate"}, "inf"),
        ({"removal": fussy}, "inf"),
    ],
)
def test_weights_that_left_the_finite_numbers_are_a_divergence(
    controls: dict[str, Any], value: str
) -> None:
    model, sparse = engine(**controls)
    assert isinstance(model, Tagger)
    with torch.no_grad():
        model.decode.weight.fill_(float(value))
    with pytest.raises(Diverged, match=r"weights of decode\.weight are no longer finite"):
        sparse.step(update=True)


# ── state, masks, topology ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("removal", ["magnitude", "threshold"])
def test_going_on_from_a_checkpoint_is_exact(removal: str) -> None:
    settings: dict[str, Any] = {
        "optimizer": "snt_asgd",
        "removal": removal,
        "growth": "momentum",
        "redistribution": "momentum",
        "every": 2,
        "total_steps": 20,
    }

    def take(model: nn.Module, sparse: SparseTraining, steps: range) -> None:
        for step in steps:
            if step == 3:
                sparse.optimizer.averaging = True  # type: ignore[attr-defined]
            backward(model, step)
            sparse.step()

    through, whole = engine(**settings)
    take(through, whole, range(13))

    model, sparse = engine(**settings)
    take(model, sparse, range(8))
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    tensors, values = sparse.state_dict()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    values = json.loads(json.dumps(values))
    state, scalars = sparse.optimizer.flat_state()  # type: ignore[attr-defined]
    state = {name: tensor.clone() for name, tensor in state.items()}

    model, sparse = engine(**settings)
    model.load_state_dict(weights)
    sparse.load_state_dict(kept, values)
    sparse.optimizer.load_flat_state(state, scalars)  # type: ignore[attr-defined]
    take(model, sparse, range(8, 13))

    for mine, other in zip(model.parameters(), through.parameters(), strict=True):
        assert torch.equal(mine, other)
    for (name, mine), other in zip(sparse.masks.items(), whole.masks.values(), strict=True):
        assert torch.equal(mine, other), name
    assert sparse.topology() == whole.topology()
    assert sparse.threshold == whole.threshold


def test_another_networks_state_is_refused() -> None:
    _, sparse = engine()
    tensors, values = sparse.state_dict()
    _, other = engine(nn.Sequential(Tagger()))
    with pytest.raises(SparsityError, match=r"mask of 0.embed.weight: found nothing"):
        other.load_state_dict(tensors, values)


def test_masks_are_saved_and_loaded(tmp_path: Path) -> None:
    _, sparse = engine(seed=1)
    sparse.save_masks(tmp_path / "masks.safetensors")
    model, other = engine(seed=2)
    other.load_masks(tmp_path / "masks.safetensors")
    for name, mask in sparse.masks.items():
        assert torch.equal(mask, other.masks[name])
    check_exact(model, other, round(0.33 * MASKED))
    with pytest.raises(SparsityError, match=r"differ in embed\.weight"):
        engine(exclude=["embed*"])[1].load_masks(tmp_path / "masks.safetensors")
    with pytest.raises(SparsityError, match="the density asks for"):
        engine(density=0.5)[1].load_masks(tmp_path / "masks.safetensors")
    (tmp_path / "broken").write_text("no")
    with pytest.raises(SparsityError, match="cannot be read as masks"):
        other.load_masks(tmp_path / "broken")


def test_topology_counts_tensors_gates_and_exploration() -> None:
    model, sparse = engine(density=0.25, init="balanced_gate")
    first = sparse.topology()
    assert first.active == round(0.25 * MASKED) == first.size - round(0.75 * MASKED)
    assert first.exploration == first.active / first.size
    assert first.parameters == sum(p.numel() for p in model.parameters())
    assert first.model_sparsity < first.sparsity
    by_name = {tensor.name: tensor for tensor in first.tensors}
    assert by_name["lstm.weight_ih_l0"].gates == {"input": 9, "forget": 9, "cell": 9, "output": 9}
    assert by_name["embed.weight"].gates == {}
    backward(model, 0)
    sparse.step(update=True)
    second = sparse.topology()
    assert second.updates == 1
    assert second.active == first.active
    assert second.exploration > first.exploration
    assert sum(t.removed for t in second.tensors) == sum(t.grown for t in second.tensors) > 0
    for tensor in second.tensors:
        mask = sparse.masks[tensor.name]
        assert tensor.active == int(mask.sum()) <= tensor.ever_active
        assert not tensor.gates or sum(tensor.gates.values()) == tensor.active
    assert Topology.of_plain(json.loads(json.dumps(second.plain()))) == second


def test_a_models_own_gates_go_before_pytorchs() -> None:
    class Named(Tagger):
        def gates(self) -> dict[str, tuple[str, ...]]:
            return {"lstm.weight_hh_l0": ("a", "b"), "decode.weight": ("only",)}

    _, sparse = engine(Named())
    gates = {tensor.name: list(tensor.gates) for tensor in sparse.topology().tensors}
    assert gates["lstm.weight_hh_l0"] == ["a", "b"]
    assert gates["decode.weight"] == ["only"]
    assert gates["lstm.weight_ih_l0"] == ["input", "forget", "cell", "output"]


def test_nn_gru_stacks_three_gates() -> None:
    _, sparse = engine(nn.GRU(4, 6))
    assert all(list(t.gates) == ["reset", "update", "new"] for t in sparse.topology().tensors)
