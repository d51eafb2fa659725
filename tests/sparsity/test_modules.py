"""Weights of every make: parametrised, wrapped, laid out otherwise, frozen, without a gradient."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn.utils import parametrizations

from hyperprune.errors import Diverged, SparsityError, SparsityNotice
from hyperprune.sparsity import SparseTraining
from hyperprune.sparsity.modules import canonical_names


def engine(model: nn.Module, **settings: Any) -> SparseTraining:
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return SparseTraining(model, optimizer, **{"density": 0.2, **settings})


def backward(model: nn.Module, *shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    model.zero_grad()
    out = model(x.to(next(model.parameters()).dtype))
    loss: Tensor = (out[0] if isinstance(out, tuple) else out).square().mean()
    loss.backward()
    return loss


def check(model: nn.Module, sparse: SparseTraining, total: int) -> None:
    assert sum(sparse.counts().values()) == total
    names = {new: old for old, new in canonical_names(model).items()}
    for name, mask in sparse.masks.items():
        weight = model.get_parameter(names[name]).detach()
        assert weight.isfinite().all()
        assert not weight[~mask].any()
        assert int(mask.sum()) == sparse.counts()[name]


# ── weights that are computed from others ────────────────────────────────────────────────────────


def old(wrap: Callable[..., nn.Module], *given: Any, **settings: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return wrap(*given, **settings)


WEIGHT_NORMS = {
    "new": lambda: parametrizations.weight_norm(nn.Linear(8, 128)),
    "old": lambda: old(nn.utils.weight_norm, nn.Linear(8, 128)),
    "columns": lambda: parametrizations.weight_norm(nn.Linear(128, 8), dim=1),
    "whole": lambda: parametrizations.weight_norm(nn.Linear(8, 16), dim=None),
    "convolution": lambda: parametrizations.weight_norm(nn.Conv1d(8, 16, 3)),
    "lstm": lambda: parametrizations.weight_norm(nn.LSTM(8, 8), "weight_hh_l0"),
}


@pytest.mark.parametrize("removal", ["magnitude", "random", "global_magnitude", "threshold"])
@pytest.mark.parametrize("make", WEIGHT_NORMS.values(), ids=WEIGHT_NORMS)
def test_weight_norm_keeps_its_magnitude_and_a_weight_in_each_slice(
    make: Callable[[], nn.Module], removal: str
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(make())
    sparse = engine(model, removal=removal, removal_rate=0.95, schedule="constant")
    magnitudes = [n for n in canonical_names(model) if n.endswith(("_g", "original0"))]
    assert magnitudes
    assert not set(magnitudes) & set(sparse.masks)
    total = round(0.2 * sum(mask.numel() for mask in sparse.masks.values()))
    for name, along in ((t.name, t.along) for t in sparse._tensors):
        if along is not None and along >= 0:
            rows = sparse.masks[name].movedim(along, 0).flatten(1)
            assert rows.any(1).all()
    inputs = next(p.shape[1] for p in model.parameters() if p.dim() > 1 and p.shape[1] > 1)
    shape = {nn.Conv1d: (2, 8, 4), nn.LSTM: (3, 2, 8)}.get(
        next((k for k in (nn.Conv1d, nn.LSTM) if isinstance(model[0], k)), nn.Linear), (5, inputs)
    )
    for seed in range(6):
        assert backward(model, *shape, seed=seed).isfinite()
        sparse.step(update=True)
        check(model, sparse, total)


def test_too_few_weights_for_the_rows_of_a_weight_norm_say_so() -> None:
    with pytest.raises(SparsityError, match=r"102 active weights .* at least 128"):
        engine(parametrizations.weight_norm(nn.Linear(4, 128)))


def test_a_mask_that_empties_a_normed_row_is_refused() -> None:
    model = parametrizations.weight_norm(nn.Linear(4, 4))
    sparse = engine(model, density=0.5)
    (name,) = sparse.masks
    half = torch.zeros(4, 4, dtype=torch.bool)
    half[:2] = True
    with pytest.raises(SparsityError, match="an empty row, which its norm divides by"):
        sparse.load_masks({name: half})


NORMED = {
    "spectral": lambda: parametrizations.spectral_norm(nn.Linear(8, 8)),
    "old spectral": lambda: old(nn.utils.spectral_norm, nn.Linear(8, 8)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(8, 8)),
    "householder": lambda: parametrizations.orthogonal(
        nn.Linear(8, 8), orthogonal_map="householder"
    ),
}


@pytest.mark.parametrize("make", NORMED.values(), ids=NORMED)
def test_spectral_and_orthogonal_weights_train_on(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(make(), nn.Linear(8, 2))
    sparse = engine(model, density=0.1, removal="random")
    total = round(0.1 * (64 + 16))
    for seed in range(5):
        assert backward(model, 5, 8, seed=seed).isfinite()
        sparse.step(update=True)
        check(model, sparse, total)


class WeightDrop(nn.Module):
    """DropConnect around an LSTM, raw weight on the layer (salesforce) or around it (fastai)."""

    def __init__(self, layer: nn.LSTM, around: bool) -> None:
        super().__init__()
        self.module = layer
        self.owner: tuple[nn.Module, ...] = (self if around else layer,)
        raw = layer.weight_hh_l0
        self.owner[0].register_parameter("weight_hh_l0_raw", nn.Parameter(raw.detach().clone()))
        if not around:
            del layer._parameters["weight_hh_l0"]

    def forward(self, x: Tensor) -> Any:
        raw = self.owner[0].weight_hh_l0_raw
        dropped = nn.functional.dropout(raw, 0.3, self.training)
        self.module._parameters.pop("weight_hh_l0", None)
        self.module.weight_hh_l0 = dropped
        self.module._flat_weights[1] = dropped
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.module(x)


@pytest.mark.parametrize("around", [False, True], ids=["salesforce", "fastai"])
def test_weight_drop_masks_the_raw_weight_with_its_gates(around: bool) -> None:
    torch.manual_seed(0)
    model = WeightDrop(nn.LSTM(8, 8), around)
    sparse = engine(model, growth="cell_gate")
    raw = "weight_hh_l0_raw" if around else "module.weight_hh_l0_raw"
    assert set(sparse.masks) == {"module.weight_ih_l0", raw}
    gates = {t.name: list(t.gates) for t in sparse.topology().tensors}
    assert gates[raw] == ["input", "forget", "cell", "output"]
    for seed in range(3):
        backward(model, 3, 2, 8, seed=seed)
        sparse.step(update=True)
        check(model, sparse, round(0.2 * 2 * 32 * 8))


def test_gates_of_cells_and_of_layers_in_both_directions() -> None:
    class Cells(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.gru = nn.LSTMCell(4, 4), nn.GRUCell(4, 4)
            self.both = nn.LSTM(4, 4, bidirectional=True, proj_size=2)
            self.normed = parametrizations.weight_norm(nn.GRU(4, 4), "weight_hh_l0")

    gates = {t.name: list(t.gates) for t in engine(Cells(), density=0.5).topology().tensors}
    four, three = ["input", "forget", "cell", "output"], ["reset", "update", "new"]
    assert gates["lstm.weight_ih"] == gates["lstm.weight_hh"] == four
    assert gates["gru.weight_hh"] == gates["normed.weight_ih_l0"] == three
    assert gates["normed.parametrizations.weight_hh_l0.original1"] == three
    assert gates["both.weight_hh_l0_reverse"] == four
    assert gates["both.weight_hr_l0"] == []


# ── layouts and dtypes ───────────────────────────────────────────────────────────────────────────


def channels_last() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last))


def transposed() -> nn.Module:
    layer = nn.Linear(8, 6)
    layer.weight = nn.Parameter(torch.randn(8, 6).t())
    return nn.Sequential(layer)


@pytest.mark.parametrize(("make", "shape"), [(channels_last, (2, 4, 5, 5)), (transposed, (3, 8))])
@pytest.mark.parametrize("init", ["er", "balanced_row", "magnitude"])
def test_a_layout_does_not_show(
    make: Callable[[], nn.Module], shape: tuple[int, ...], init: str
) -> None:
    torch.manual_seed(0)
    model = make()
    plain = copy.deepcopy(model)
    name, weight = next(plain.named_parameters())
    plain[0].weight = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
    assert not model[0].weight.is_contiguous()
    engines = [engine(m, init=init, removal="global_magnitude") for m in (model, plain)]
    for seed in range(3):
        for m, sparse in zip((model, plain), engines, strict=True):
            backward(m, *shape, seed=seed)
            sparse.step(update=True)
            check(m, sparse, round(0.2 * weight.numel()))
    assert torch.equal(engines[0].masks[name], engines[1].masks[name])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_network_may_change_its_dtype(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    sparse = engine(model, growth="momentum")
    backward(model, 5, 8)
    sparse.step()
    model.to(dtype)
    sparse.optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for seed in range(3):
        backward(model, 5, 8, seed=seed)
        sparse.step(update=True)
        check(model, sparse, round(0.2 * (128 + 64)))


def test_an_optimiser_without_state_lives_through_a_change_of_dtype() -> None:
    model = nn.Sequential(nn.Linear(8, 16))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    sparse = SparseTraining(model, optimizer, density=0.2, growth="momentum")
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.float32):
        model.to(dtype)
        model.zero_grad()
        backward(model, 5, 8)
        optimizer.step()
        check(model, sparse, round(0.2 * 128))
        backward(model, 5, 8)
        sparse.step(update=True)
        check(model, sparse, round(0.2 * 128))


def test_weights_in_bfloat16_are_counted_exactly_with_every_redistribution() -> None:
    torch.manual_seed(0)
    for redistribution in ("none", "magnitude", "momentum", "gradient", "nonzeros"):
        model = nn.Sequential(nn.Linear(8, 64), nn.Linear(64, 4)).bfloat16()
        sparse = engine(model, redistribution=redistribution)
        backward(model, 5, 8)
        sparse.step(update=True)
        check(model, sparse, round(0.2 * (512 + 256)))


def test_mixed_dtypes_are_ranked_together_in_the_widest() -> None:
    # 1 and 1.001 are one number in bfloat16; of both together the two lowest are 1 and 1.001.
    narrow, wide = nn.Linear(2, 1, bias=False).bfloat16(), nn.Linear(3, 1, bias=False)
    model = nn.ModuleList([narrow, wide])
    with torch.no_grad():
        narrow.weight.copy_(torch.tensor([[1.0, 3.0]]))
        wide.weight.copy_(torch.tensor([[1.001, 1.002, 5.0]]))
    sparse = SparseTraining(
        model,
        optim.SGD(model.parameters(), lr=0.0),
        density=0.6,
        init="magnitude",
    )
    assert sparse.masks["0.weight"].tolist() == [[False, True]]
    assert sparse.masks["1.weight"].tolist() == [[False, True, True]]


def test_what_cannot_be_masked_is_refused_in_a_sentence() -> None:
    complex_ = nn.Linear(4, 4, dtype=torch.complex64)
    with pytest.raises(SparsityError, match="weight is complex: exclude it"):
        engine(complex_)
    with pytest.raises(SparsityError, match="run the module once"):
        engine(nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3)))
    sharded = nn.Linear(4, 4)
    sharded.weight.placements = ()  # type: ignore[assignment]  # as a DTensor of FSDP has
    with pytest.raises(SparsityError, match=r"sharded \(FSDP\)"):
        engine(sharded)


def assigned(model: nn.Module) -> None:
    model.load_state_dict({name: p.clone() for name, p in model.state_dict().items()}, assign=True)


@pytest.mark.parametrize(
    "replace",
    [assigned, lambda model: parametrizations.weight_norm(model[0])],
    ids=["load", "norm"],
)
def test_a_weight_that_was_replaced_is_not_trained_on_in_silence(
    replace: Callable[[nn.Module], Any],
) -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    sparse = engine(model)
    replace(model)
    backward(model, 3, 4)
    with pytest.raises(SparsityError, match=r"0\.weight is no longer the module's"):
        sparse.step()


# ── frozen weights, and those without a gradient ─────────────────────────────────────────────────


def body_and_heads() -> nn.ModuleDict:
    torch.manual_seed(0)
    heads = {name: nn.Linear(8, 4) for name in ("body", "used", "unused")}
    heads["body"] = nn.Linear(8, 8)
    return nn.ModuleDict(heads)


def through(model: nn.ModuleDict, seed: int = 0) -> None:
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
    model.zero_grad()
    model["used"](model["body"](x)).square().mean().backward()


def test_weights_frozen_after_construction_are_left_alone_until_they_thaw() -> None:
    model = body_and_heads()
    sparse = engine(model, growth="random", density=0.25)
    frozen = sparse.masks["body.weight"]
    model["body"].weight.requires_grad_(False)
    model["body"].weight.grad = None
    kept = model["body"].weight.detach().clone()
    through(model)
    with pytest.warns(SparsityNotice, match=r"body\.weight is frozen"):
        sparse.step(update=True)
    through(model)
    sparse.step(update=True)  # said once
    check(model, sparse, round(0.25 * 128))
    assert torch.equal(sparse.masks["body.weight"], frozen)
    assert torch.equal(model["body"].weight, kept)
    model["body"].weight.requires_grad_(True)
    through(model)
    sparse.step(update=True)
    check(model, sparse, round(0.25 * 128))
    assert not torch.equal(sparse.masks["body.weight"], frozen)


def test_gradual_pruning_goes_as_far_as_frozen_weights_let_it() -> None:
    model = body_and_heads()
    sparse = engine(
        model, density=0.1, initial_density=1.0, removal_rate=0.0, stop=0.5, growth="random"
    )
    model["body"].weight.requires_grad_(False)  # 64 of 128, at a density of 1
    through(model)
    with pytest.warns(SparsityNotice, match="frozen"):
        sparse.step(update=True, progress=0.0)
    for step in range(1, 10):
        through(model)
        sparse.step(update=True, progress=step / 10)
    assert sparse.counts() == {"body.weight": 64, "used.weight": 1, "unused.weight": 1}


@pytest.mark.parametrize("growth", ["gradient", "momentum", "random"])
@pytest.mark.parametrize("removal", ["magnitude", "taylor", "mest", "global_magnitude"])
@pytest.mark.parametrize("redistribution", ["none", "gradient", "momentum"])
def test_weights_without_a_gradient_stay_where_gradients_are_asked_for(
    growth: str, removal: str, redistribution: str
) -> None:
    model = body_and_heads()
    controls = {"growth": growth, "removal": removal, "redistribution": redistribution}
    sparse = engine(model, density=0.25, **controls)
    before = sparse.masks["unused.weight"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(3):
            through(model, seed)
            sparse.step(update=True)
            check(model, sparse, round(0.25 * 128))
    told = [str(w.message) for w in caught if w.category is SparsityNotice]
    asked = redistribution == "gradient" or removal in ("taylor", "mest")
    if redistribution == "none":  # by momentum, its share of what grows is nothing
        asked = asked or growth == "gradient"
    assert told == ["unused.weight has no gradient, so that its topology stays"] * asked
    if asked:
        assert torch.equal(sparse.masks["unused.weight"], before)


def test_sensitivity_at_the_start_counts_no_gradient_as_none() -> None:
    model = body_and_heads()

    def gradients() -> dict[str, Tensor]:
        through(model)
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    with pytest.warns(SparsityNotice, match=r"unused\.weight has no gradient"):
        sparse = engine(model, density=0.25, init="snip", gradients=gradients)
    assert sparse.counts()["unused.weight"] == 1
    check(model, sparse, round(0.25 * 128))


def test_a_gradient_that_is_not_finite_is_a_divergence_where_it_is_ranked_by() -> None:
    model = body_and_heads()
    sparse = engine(model, growth="gradient")
    through(model)
    model["used"].weight.grad[0, 0] = float("nan")
    with pytest.raises(Diverged, match=r"gradients of used\.weight are no longer finite"):
        sparse.step(update=True)


# ── what is removed and comes back at once ───────────────────────────────────────────────────────


def rising(view: Any) -> Tensor:
    """Keep the last columns, grow the last ones first."""
    return torch.arange(view.weight.numel(), dtype=torch.float32).reshape(view.weight.shape)


@pytest.mark.parametrize(("regrown", "value"), [("keep", 7.0), ("reset", 0.0)])
def test_a_weight_that_comes_back_at_once_keeps_its_value_or_begins_anew(
    regrown: str, value: float
) -> None:
    # Of the active  _ _ _ 7 | 8 9 9 9  the lowest-ranked two go, 7 and 8. Of the free
    # 0 1 2 3 4 the two highest-ranked come: 7's and 8's own places.
    model = nn.Linear(4, 2, bias=False)
    mask = torch.tensor([[False, False, False, True], [True, True, True, True]])
    optimizer = optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    sparse = SparseTraining.resume(
        model,
        optimizer,
        masks={"weight": mask},
        removal=rising,
        growth=rising,
        schedule="constant",
        removal_rate=0.4,
        regrown=regrown,
    )
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[5.0, 5, 5, 7], [8, 9, 9, 9]]))
    sparse.apply_masks()
    model.weight.grad = torch.ones(2, 4)
    sparse.step()
    model.weight.grad = torch.ones(2, 4)
    sparse.step(update=True)
    assert torch.equal(sparse.masks["weight"], mask)
    assert model.weight[0, 3].item() == value
    momentum = optimizer.state[model.weight]["momentum_buffer"]
    assert momentum[0, 3].item() == pytest.approx(1.9 if regrown == "keep" else 1.0)
    tensor = sparse.topology().tensors[0]
    assert (tensor.removed, tensor.grown) == ((0, 0) if regrown == "keep" else (2, 2))


@pytest.mark.parametrize("regrown", ["keep", "reset"])
def test_a_tensor_that_is_full_loses_nothing(regrown: str) -> None:
    model = nn.Linear(32, 16)
    sparse = engine(model, density=1.0, growth="random", regrown=regrown)
    for seed in range(3):
        backward(model, 5, 32, seed=seed)
        sparse.step(update=True)
        assert model.weight.all()
    assert sparse.topology().tensors[0].removed == 0


def test_gradual_pruning_with_regrowth_keeps_what_comes_back_from_dense() -> None:
    model = nn.Linear(32, 16)
    sparse = engine(
        model, density=0.5, initial_density=1.0, removal_rate=0.9, growth="random", stop=0.9
    )
    backward(model, 5, 32)
    sparse.step(update=True, progress=0.3)
    assert model.weight.detach()[sparse.masks["weight"]].all()
