"""Blocks: what they are on matrices small enough to draw, and counts that stay exact with any control."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn, optim

from hyperprune.builtin.controls import GROWTHS, INITS, REDISTRIBUTIONS, REMOVALS
from hyperprune.errors import SparsityError
from hyperprune.sparsity import SparseTraining, TensorView
from hyperprune.sparsity.blocks import Grid
from hyperprune.sparsity.groups import fits, kept

GATES = {"input": slice(0, 2), "forget": slice(2, 4)}


class Stacked(nn.Module):
    """Shapes that no block divides."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(3)
        self.stacked = nn.Parameter(torch.randn(8, 7, generator=draw))
        self.plain = nn.Parameter(torch.randn(9, 10, generator=draw))

    def gates(self) -> dict[str, tuple[str, ...]]:
        return {"stacked": ("input", "forget")}


def engine(**said: Any) -> tuple[Stacked, SparseTraining]:
    model = Stacked()
    sparse = SparseTraining(
        model,
        optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        **{
            "gradients": lambda: {n: torch.randn_like(p) for n, p in model.named_parameters()},
            **said,
        },
    )
    return model, sparse


def test_a_block_at_the_edge_is_smaller_and_its_mean_is_of_what_it_has() -> None:
    # 1 2 | 3        blocks of 2 × 2: {1, 2, 4, 5}, {3, 6}, {7, 8}, {9}
    # 4 5 | 6
    # ----+--
    # 7 8 | 9
    grid = Grid((3, 3), 2, 2)
    salience = torch.arange(1.0, 10).view(3, 3)
    assert grid.pool(salience).tolist() == [[3.0, 4.5], [7.5, 9.0]]
    marked = torch.tensor([[False, True], [True, False]])
    assert grid.spread(marked).int().tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    assert torch.equal(grid.covers(grid.spread(marked)), marked)


def test_a_unit_has_a_row_in_every_gate() -> None:
    # rows 0 and 2 are unit 0's, 1 and 3 unit 1's
    grid = Grid.of("units", (4, 3), GATES)
    assert grid is not None
    assert grid.size == 2
    assert grid.spread(torch.tensor([[False], [True]])).any(1).tolist() == [False, True] * 2
    assert grid.pool(torch.tensor([[1.0], [2], [3], [4]]).expand(4, 3)).tolist() == [[2.0], [3.0]]


def test_removal_and_growth_go_by_the_mean_of_a_block() -> None:
    # |w|:  9 1 | 4 4 | 0 0      means 5, 4, 0 and gradients 0, 1, 7 | one of two active goes
    model = nn.Linear(6, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[9.0, 1, 4, 4, 0, 0]]))
    mask = torch.tensor([[True, True, True, True, False, False]])
    sparse = SparseTraining(
        model,
        optim.SGD(model.parameters(), lr=0.0),
        masks={"weight": mask},
        block=[1, 2],
        removal="magnitude",
        growth="gradient",
        schedule="constant",
        removal_rate=0.5,
    )
    model.weight.grad = torch.tensor([[0.0, 0, 1, 1, 0, 14]])
    sparse.step(update=True)
    assert sparse.masks["weight"].tolist() == [[True, True, False, False, True, True]]


@pytest.mark.parametrize("block", ["2:4", "1:3"])
def test_infinite_saliences_rank_like_any_others(block: str) -> None:
    # Gradients of 0 have a logarithm of −∞; 7 and 10 columns leave groups that are not full.
    model, sparse = engine(
        block=block,
        init=lambda view: (view.weight > 0).float().log(),
        removal=lambda view: (view.weight < 0).float().log(),
        growth=lambda view: view.gradient.log(),
    )
    counts = sparse.counts()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    sparse.step(update=True)
    assert sparse.counts() == counts
    assert sum(t.grown for t in sparse.topology().tensors) > 0


@pytest.mark.parametrize("block", ["2x4", "rows", "units"])
def test_a_block_of_both_infinities_has_no_mean(block: str) -> None:
    def odd(view: TensorView) -> Tensor:
        signs = torch.ones_like(view.weight)
        signs[:, 0] = -1
        return signs / 0

    model, sparse = engine(density=0.5, block=block, removal=odd)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with pytest.raises(SparsityError, match=r"removal 'odd' returned ∞ and −∞ in one block"):
        sparse.step(update=True)
    with pytest.raises(SparsityError, match="init 'odd' returned"):
        engine(density=0.5, block="2x4", init=odd)


BLOCKS = st.sampled_from(["3x2", "2x4", "1x8", "8x1", "rows", "units", "columns", "2:4", "1:3"])


@pytest.mark.parametrize("removal", sorted(REMOVALS))
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    block=BLOCKS,
    density=st.floats(0.15, 0.95),
    growth=st.sampled_from(sorted(GROWTHS)),
    init=st.sampled_from(sorted(INITS)),
    redistribution=st.sampled_from(sorted(REDISTRIBUTIONS)),
    rate=st.floats(0, 1),
    gradual=st.booleans(),
)
def test_masks_stay_whole_and_counts_exact_with_every_control(
    removal: str, block: str, density: float, rate: float, gradual: bool, **controls: str
) -> None:
    torch.manual_seed(0)
    group = tuple(map(int, block.split(":"))) if ":" in block else None
    more: dict[str, Any] = {}
    if group:
        density = group[0] / group[1]
    elif gradual:
        more = {"initial_density": 1.0, "stop": 0.6}
    model, sparse = engine(
        density=density,
        block=block,
        removal=removal,
        removal_rate=rate,
        every=1,
        total_steps=6,
        **more,
        **controls,
    )
    grids = {t.name: t.grid for t in sparse._tensors}
    for _ in range(6):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        sparse.step()
        for name, mask in sparse.masks.items():
            assert mask.any()
            assert not model.get_parameter(name).detach()[~mask].any()
            grid = grids[name]
            if group:
                assert fits(mask, group)
            else:
                assert grid is not None
                assert torch.equal(grid.spread(grid.covers(mask)), mask)
    placed = {t.name: t.placed for t in sparse._tensors}
    if group:
        assert placed == {name: kept(mask.shape, group) for name, mask in sparse.masks.items()}
    elif block in ("rows", "units", "columns"):
        sizes = {name: grid.size for name, grid in grids.items() if grid}
        assert placed == {name: max(1, round(density * n)) for name, n in sizes.items()}
    else:
        assert sum(placed.values()) == round(density * sum(g.size for g in grids.values() if g))


def test_two_of_four_takes_the_larger_and_grows_where_it_lost() -> None:
    # 4 3 2 1 | 1 2 3 4 → the larger two of each; all four go, and the gradient's two of each come
    model = nn.Linear(8, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0, 3, 2, 1, 1, 2, 3, 4]]))
    sparse = SparseTraining(
        model,
        optim.SGD(model.parameters(), lr=0.0),
        density=0.5,
        block="2:4",
        init={"name": "magnitude"},
        growth="gradient",
        schedule="constant",
        removal_rate=1.0,
    )
    assert sparse.masks["weight"].int().tolist() == [[1, 1, 0, 0, 0, 0, 1, 1]]
    model.weight.grad = torch.tensor([[9.0, 0, 8, 1, 9, 1, 0, 2]])
    sparse.step(update=True)
    assert sparse.masks["weight"].int().tolist() == [[1, 0, 1, 0, 1, 0, 0, 1]]


def test_masks_go_on_in_their_blocks_and_others_are_refused() -> None:
    _, sparse = engine(density=0.4, block="2x4")
    _, again = engine(masks=sparse.masks, block="2x4")
    assert all(torch.equal(again.masks[n], mask) for n, mask in sparse.masks.items())
    ragged: dict[str, Tensor] = {n: mask.clone() for n, mask in sparse.masks.items()}
    ragged["plain"][0, 0] = ~ragged["plain"][0, 0]
    with pytest.raises(SparsityError, match="plain is not masked in whole blocks"):
        engine(masks=ragged, block="2x4")
    with pytest.raises(SparsityError, match="does not keep 2:4 everywhere"):
        engine(masks=sparse.masks, block="2:4")


@pytest.mark.parametrize("block", ["rows", "columns"])
@pytest.mark.parametrize("said", [{}, {"density": 0.1}])
def test_whole_blocks_go_on_as_many_as_they_are(block: str, said: dict[str, float]) -> None:
    # 8 layers keep one of 2 rows (of 6 columns) each, which is more than the tenth that was asked for
    model = nn.ModuleList([*(nn.Linear(6, 2) for _ in range(8)), nn.Linear(24, 100)])
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    counts = (sparse := SparseTraining(model, optimizer, density=0.1, block=block)).counts()
    again = SparseTraining.resume(model, optimizer, masks=sparse.masks, block=block, **said)
    assert again.counts() == counts
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    again.step(update=True)
    assert again.topology().tensors[-1].removed > 0
    assert again.counts() == counts


@pytest.mark.parametrize("block", [[0, 4], [8], "4:2", "8*4", 3, [True, 4], "row"])
def test_what_is_no_block_is_refused_in_words(block: object) -> None:
    with pytest.raises(SparsityError, match=r"a block is \[rows, columns\] such as \[8, 4\]"):
        engine(density=0.5, block=block)


def test_two_of_four_has_a_density_of_its_own() -> None:
    with pytest.raises(SparsityError, match=r"'2:4' keeps 0\.5 of the weights"):
        engine(density=0.3, block="2:4")
    model = nn.Linear(8, 3, bias=False)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    sparse = SparseTraining(model, optimizer, block="2:4")  # so it need not be said
    assert sparse.counts() == {"weight": 12}
    masks = {"weight": torch.tensor([[True, False] * 4] * 3)}
    again = SparseTraining(model, optimizer, masks=masks, block="2:4")
    assert torch.equal(again.masks["weight"], masks["weight"])


@pytest.mark.parametrize("block", [[2, 2], "2:4"])
def test_a_tensor_divided_by_a_norm_takes_no_blocks(block: object) -> None:
    model = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
    with pytest.raises(SparsityError, match="exclude it, or leave out block"):
        SparseTraining(model, optim.SGD(model.parameters(), lr=0.1), density=0.5, block=block)  # type: ignore[arg-type]
