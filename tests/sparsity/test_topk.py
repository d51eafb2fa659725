from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune.sparsity.topk import FEW, choose, constant, highest, lowest, lowest_of_all


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_choose_is_uniform_over_subsets() -> None:
    candidates = torch.tensor([1, 0, 1, 1, 1], dtype=torch.bool)
    seen = Counter(tuple(choose(candidates, 2, generator(seed)).tolist()) for seed in range(1200))
    assert len(seen) == 6
    assert all(140 < times < 260 for times in seen.values())


@pytest.mark.parametrize("share", [0.01, 0.3, 0.49, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("active", [0.03, 0.4, 1.0])
def test_choose_in_large_tensors_is_exact_and_even(share: float, active: float) -> None:
    # Above FEW the places are drawn; halves, and neighbours, must be hit alike.
    n = 400_000
    candidates = torch.rand(n, generator=generator(1)) < active
    available = int(candidates.sum())
    assert available > FEW
    count = round(share * available)
    chosen = choose(candidates, count, generator(2))
    assert int(chosen.sum()) == count
    assert not (chosen & ~candidates).any()
    first = int(chosen[: n // 2].sum())
    expected = count * int(candidates[: n // 2].sum()) / available
    assert abs(first - expected) < 5 * (0.25 * count * (1 - share) + 1) ** 0.5
    assert torch.equal(chosen, choose(candidates, count, generator(2)))
    assert count in (0, available) or not torch.equal(
        chosen, choose(candidates, count, generator(3))
    )


def test_choose_refuses_more_than_there_are() -> None:
    with pytest.raises(ValueError, match="cannot choose 3 of 2"):
        choose(torch.tensor([True, True, False]), 3, generator())


def test_lowest_and_highest_pass_over_the_masked() -> None:
    salience = torch.tensor([[5.0, 1.0, 3.0], [0.0, 4.0, 2.0]])
    among = torch.tensor([[1, 1, 1], [0, 1, 0]], dtype=torch.bool)
    assert lowest(salience, among, 2, generator()).int().tolist() == [[0, 1, 1], [0, 0, 0]]
    assert highest(salience, among, 2, generator()).int().tolist() == [[1, 0, 0], [0, 1, 0]]


def test_infinite_saliences_rank() -> None:
    inf = float("inf")
    salience = torch.tensor([inf, -inf, 0.0, inf])
    among = torch.tensor([1, 1, 1, 1], dtype=torch.bool)
    assert lowest(salience, among, 2, generator()).int().tolist() == [0, 1, 1, 0]
    assert sum(lowest(salience, among, 3, generator()).int().tolist()) == 3
    assert highest(salience, among, 2, generator()).int().tolist() == [1, 0, 0, 1]


def test_constant_sees_expanded_tensors_only() -> None:
    assert constant(torch.zeros(()).expand(3, 4))
    assert not constant(torch.zeros(3, 4))
    assert not constant(torch.zeros(4).expand(3, 4))
    assert constant(torch.zeros(1, 1))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lowest_of_all_equals_sorting(data: st.DataObject) -> None:
    """Distinct saliences: the mask is what sorting gives. Ties: the sum of saliences is."""
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
    levels = data.draw(st.sampled_from([2, 5, 1000]))
    draw = generator(data.draw(st.integers(0, 10**6)))
    saliences = [torch.randint(levels, (n,), generator=draw).double() for n in sizes]
    among = [torch.rand(n, generator=draw) < 0.7 for n in sizes]
    room = sum(int(mask.sum()) for mask in among)
    count = data.draw(st.integers(0, room))
    masks = lowest_of_all(saliences, among, count, draw)
    assert sum(int(mask.sum()) for mask in masks) == count
    assert not any((mask & ~free).any() for mask, free in zip(masks, among, strict=True))
    taken = torch.cat([s[mask] for s, mask in zip(saliences, masks, strict=True)])
    every = torch.cat([s[free] for s, free in zip(saliences, among, strict=True)]).sort().values
    assert torch.equal(taken.sort().values, every[:count])
