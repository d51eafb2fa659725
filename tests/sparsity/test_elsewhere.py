"""Where people train: loss scaling, accumulation, compilation, several processes, averages."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hyperprune.errors import SparsityError, SparsityNotice
from hyperprune.sparsity import SparseTraining

TOTAL = round(0.25 * (8 * 16 + 16 * 4))


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))


def engine(model: nn.Module, **settings: Any) -> SparseTraining:
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return SparseTraining(
        model, optimizer, **{"density": 0.25, "every": 2, "total_steps": 20, **settings}
    )


def loss_of(model: nn.Module, seed: int, rows: slice = slice(None)) -> Tensor:
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(seed))[rows]
    loss: Tensor = model(x).square().mean()
    return loss


def equal(mine: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(mine.parameters(), other.parameters(), strict=True)
    )


def check(sparse: SparseTraining) -> None:
    assert sum(sparse.counts().values()) == TOTAL
    for tensor in sparse._tensors:
        assert not tensor.parameter.detach()[~tensor.mask].any()


# ── loss scaling ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize("by", ["engine", "optimizer"])
def test_a_scaler_skips_the_steps_that_overflow(by: str, unscale: bool) -> None:
    """The same run as without a scaler, whose overflowing steps are left out."""
    model, plain = net(), net()
    sparse, other = engine(model, growth="momentum"), engine(plain, growth="momentum")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    given: Any = sparse if by == "engine" else sparse.optimizer
    for seed in range(8):
        overflows = seed in (2, 5)
        model.zero_grad()
        scaler.scale(loss_of(model, seed)).backward()
        if overflows:
            model[0].weight.grad[0, 0] = float("inf")
        if unscale:
            scaler.unscale_(given)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(given)
        scaler.update()
        check(sparse)
        if not overflows:
            plain.zero_grad()
            loss_of(plain, seed).backward()
            if unscale:
                nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
            if by == "engine":
                other.step()
            else:
                other.optimizer.step()
    assert sparse.steps == other.steps == (6 if by == "engine" else 0)
    assert sparse.updates == other.updates == (2 if by == "engine" else 0)
    assert equal(model, plain)


def test_accumulated_gradients_are_one_step() -> None:
    model, whole = net(), net()
    sparse, other = engine(model), engine(whole)
    for seed in range(6):
        model.zero_grad()
        for rows in (slice(0, 3), slice(3, 6)):
            (loss_of(model, seed, rows) / 2).backward()
        sparse.step()
        whole.zero_grad()
        loss_of(whole, seed).backward()
        other.step()
        check(sparse)
    assert sparse.updates == other.updates == 2
    for mine, theirs in zip(model.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_loop_that_steps_by_itself_lets_the_engine_prepare() -> None:
    model, whole = net(), net()
    sparse, other = engine(model, growth="momentum"), engine(whole, growth="momentum")
    for seed in range(12):
        for m in (model, whole):
            m.zero_grad()
            loss_of(m, seed).backward()
        sparse.prepare(update=seed == 9 or None)
        sparse.optimizer.step()
        other.step(update=seed == 9 or None)
        check(sparse)
    assert (sparse.steps, sparse.updates) == (other.steps, other.updates) == (12, 6)
    assert equal(model, whole)


def test_an_engine_that_is_passed_by_says_so() -> None:
    model = net()
    sparse = engine(model)
    for _ in range(9):
        sparse.optimizer.step()
    with pytest.warns(SparsityNotice, match="10 steps of the optimiser have passed"):
        sparse.optimizer.step()
    sparse.optimizer.step()
    still = engine(net(), every=None)  # masks that never move need nobody's turn
    for _ in range(12):
        still.optimizer.step()


# ── wrappers ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: torch.compile(model, backend="eager"),
        nn.DataParallel,
        lambda model: nn.Sequential(nn.DataParallel(model))[0],
    ],
    ids=["compile", "DataParallel", "inside"],
)
def test_a_wrapper_changes_neither_names_nor_masks(wrap: Any, tmp_path: Path) -> None:
    model, inner = net(), net()
    wrapped = wrap(inner)
    sparse, other = engine(model), engine(wrapped, exclude=[])
    assert list(sparse.masks) == list(other.masks) == ["0.weight", "2.weight"]
    for seed in range(5):
        for m, s in ((model, sparse), (wrapped, other)):
            m.zero_grad()
            loss_of(m, seed).backward()
            s.step()
            check(s)
    assert equal(model, inner)
    other.save_masks(tmp_path / "masks.safetensors")
    sparse.load_masks(tmp_path / "masks.safetensors")
    sparse.load_state_dict(*other.state_dict())
    named = {f"module.{name}": mask for name, mask in sparse.masks.items()}
    if isinstance(wrapped, nn.DataParallel):
        other.load_masks(named)
    else:
        with pytest.raises(SparsityError, match=r"differ in .*module\.0\.weight"):
            other.load_masks(named)


def test_gradients_at_the_start_may_have_a_wrappers_names() -> None:
    wrapped = nn.DataParallel(net())

    def gradients() -> dict[str, Tensor]:
        wrapped.zero_grad()
        loss_of(wrapped, 0).backward()
        return {n: p.grad for n, p in wrapped.named_parameters() if p.grad is not None}

    check(engine(wrapped, init="snip", gradients=gradients))


@pytest.mark.slow
def test_a_network_compiled_to_machine_code_trains_alike() -> None:
    """Needs a C++ compiler; half a minute."""
    model, inner = net(), net()
    compiled: Any = torch.compile(inner)
    sparse, other = engine(model), engine(compiled)
    for seed in range(6):
        for m, s in ((model, sparse), (compiled, other)):
            m.zero_grad()
            loss_of(m, seed).backward()
            s.step()
            check(s)
    for mine, theirs in zip(model.parameters(), inner.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


RANK = """
import sys
import torch
from torch import distributed, nn, optim
from hyperprune.sparsity import SparseTraining

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
)
torch.manual_seed(rank)  # other weights on each rank: the wrapper makes them equal
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
wrapped = nn.parallel.DistributedDataParallel(model)
optimizer = optim.Adam(wrapped.parameters(), lr=0.01)
sparse = SparseTraining(
    wrapped, optimizer, density=0.25, init="magnitude", growth="momentum", every=2, total_steps=20
)
for step in range(8):
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(2 * step + rank))
    wrapped.zero_grad()
    wrapped(x).square().mean().backward()
    sparse.step()
sparse.save_masks(f"{folder}/masks{rank}.safetensors")
torch.save(model.state_dict(), f"{folder}/weights{rank}.pt")
assert sparse.updates == 3
distributed.destroy_process_group()
"""


def test_two_processes_have_the_same_masks_throughout(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for rank in ranks:
        _, error = rank.communicate(timeout=120)
        assert rank.returncode == 0, error
    weights = [torch.load(tmp_path / f"weights{r}.pt", weights_only=True) for r in (0, 1)]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name])
    model = net()
    model.load_state_dict(weights[0])
    masks = [tmp_path / f"masks{r}.safetensors" for r in (0, 1)]
    assert masks[0].read_bytes() == masks[1].read_bytes()
    resumed = SparseTraining.resume(model, optim.SGD(model.parameters(), lr=0.1), masks=masks[0])
    check(resumed)
    assert all(p.count_nonzero() for p in model.parameters())


# ── averages of weights ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("average", [None, get_ema_multi_avg_fn(0.9)], ids=["swa", "ema"])
def test_averages_over_moving_masks_are_masked_by_a_helper(average: Any) -> None:
    model = net()
    sparse = engine(model)
    averaged = AveragedModel(model, multi_avg_fn=average)
    twin = copy.deepcopy(model)
    for seed in range(8):
        model.zero_grad()
        loss_of(model, seed).backward()
        sparse.step()
        averaged.update_parameters(model)
    weight = averaged.module[0].weight
    assert weight.detach()[~sparse.masks["0.weight"]].any()
    sparse.apply_masks(averaged)
    sparse.apply_masks(twin)
    for copied in (averaged.module, twin):
        for name, mask in sparse.masks.items():
            assert not copied.get_parameter(name).detach()[~mask].any()
            assert copied.get_parameter(name).detach()[mask].any()
    check(sparse)
    with pytest.raises(SparsityError, match=r"the copy has no 2\.weight of shape \(4, 16\)"):
        sparse.apply_masks(nn.Sequential(nn.Linear(8, 16)))


# ── going on ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["mapping", "file", "zeros"])
def test_training_goes_on_from_a_sparse_network(form: str, tmp_path: Path) -> None:
    model = net()
    sparse = engine(model)
    for seed in range(5):
        model.zero_grad()
        loss_of(model, seed).backward()
        sparse.step()
    sparse.save_masks(tmp_path / "masks.safetensors")
    again = net()
    again.load_state_dict(model.state_dict())
    optimizer = optim.Adam(again.parameters())
    again.zero_grad()
    loss_of(again, 0).backward()
    optimizer.step()  # dense state, and dense weights
    again.load_state_dict(model.state_dict())
    masks = {"mapping": sparse.masks, "file": tmp_path / "masks.safetensors", "zeros": None}[form]
    resumed = SparseTraining.resume(again, optimizer, masks=masks, growth="gradient")
    for name, mask in sparse.masks.items():
        assert torch.equal(mask, resumed.masks[name])
    assert equal(model, again)
    for seed in range(3):
        again.zero_grad()
        loss_of(again, seed).backward()
        resumed.step(update=True)
        check(resumed)
    assert resumed.topology().exploration >= resumed.topology().active / resumed.topology().size


def test_going_on_can_prune_further() -> None:
    model = net()
    sparse = engine(model)
    resumed = SparseTraining.resume(
        model, sparse.optimizer, masks=sparse.masks, density=0.1, stop=0.5, removal_rate=0.0
    )
    check(resumed)
    for step in range(8):
        model.zero_grad()
        loss_of(model, step).backward()
        resumed.step(update=True, progress=step / 8)
    assert sum(resumed.counts().values()) == round(0.1 * 192)
    with pytest.raises(SparsityError, match="never rises"):
        SparseTraining.resume(model, resumed.optimizer, masks=resumed.masks, density=0.5)
    with pytest.raises(SparsityError, match="give the share"):
        SparseTraining(model, resumed.optimizer)


def test_masks_of_another_network_are_refused() -> None:
    model = net()
    sparse = engine(model)
    masks = sparse.masks
    with pytest.raises(SparsityError, match=r"masks and masked weights differ in 2\.weight"):
        sparse.load_masks({"0.weight": masks["0.weight"]})
    with pytest.raises(SparsityError, match=r"0\.weight has shape \(16,\)"):
        sparse.load_masks({**masks, "0.weight": masks["0.weight"][:, 0]})
    empty = torch.zeros_like(masks["2.weight"])
    with pytest.raises(SparsityError, match=r"2\.weight has no active weight"):
        SparseTraining.resume(model, sparse.optimizer, masks={**masks, "2.weight": empty})
    check(sparse)
    tensors, values = sparse.state_dict()
    del tensors["ever.2.weight"]
    before = sparse.masks
    tensors["mask.0.weight"].zero_()
    with pytest.raises(SparsityError, match=r"saved ever of 2\.weight: found nothing"):
        sparse.load_state_dict(tensors, values)
    assert all(torch.equal(mask, before[name]) for name, mask in sparse.masks.items())
