"""Each control on tensors small enough to draw: what goes, what comes, who gets how many."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from hyperprune.builtin.controls import (
    GROWTHS,
    INITS,
    PRESETS,
    REDISTRIBUTIONS,
    REMOVALS,
    SCHEDULES,
)
from hyperprune.model import Gates, gate_rows
from hyperprune.sparsity.update import Control, grow, initial_masks, redistribute, remove
from hyperprune.sparsity.view import TensorView
from hyperprune.testing.controls import check_control

KINDS = {
    "init": INITS,
    "removal": REMOVALS,
    "growth": GROWTHS,
    "redistribution": REDISTRIBUTIONS,
    "schedule": SCHEDULES,
    "preset": PRESETS,
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, known in KINDS.items() for name in known]
)
def test_every_control_passes_the_suite_that_plugins_get(kind: str, name: str) -> None:
    check_control(kind, KINDS[kind][name])


def view(
    weight: list[Any],
    mask: list[Any] | None = None,
    *,
    gradient: list[Any] | None = None,
    average: list[Any] | None = None,
    ever: list[Any] | None = None,
    seed: int = 0,
    gates: Gates = (),
    **others: Any,
) -> TensorView:
    w = torch.tensor(weight, dtype=torch.float32)
    w = w.unsqueeze(0) if w.dim() == 1 else w
    m = torch.ones_like(w, dtype=torch.bool) if mask is None else bits(mask).view_as(w)
    return TensorView(
        name=others.pop("name", "w"),
        weight=w * m,
        mask=m,
        ever_active=m if ever is None else bits(ever).view_as(w),
        generator=torch.Generator().manual_seed(seed),
        density=0.5,
        gates=gate_rows(gates, w.shape[0]) if gates else {},
        _gradient=lambda: None if gradient is None else torch.tensor(gradient).view_as(w),
        _average=lambda: None if average is None else torch.tensor(average).view_as(w),
        **others,
    )


def bits(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.bool)


def gone(
    name: str, *views: TensorView, rate: float = 0.5, threshold: float = 1e-3
) -> list[list[int]]:
    """0/1 of what a removal takes from each tensor."""
    control = Control("removal", name, REMOVALS[name])
    masks, _ = remove(views, control, rate, 0, threshold)
    return [mask.int().flatten().tolist() for mask in masks]


def grown(name: str, shown: TensorView, count: int) -> list[int]:
    """0/1 of what a growth brings."""
    (mask,) = grow([shown], Control("growth", name, GROWTHS[name]), [count])
    return mask.int().flatten().tolist()


# ── removal: weight, mask → what goes; K = ⌈r·n⌉ ─────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("weight", "mask", "rate", "expected"),
    [
        # all active, n = 4, K = 2: the two nearest 0, whatever their sign
        ([3, -1, 2, -4], [1, 1, 1, 1], 0.5, [0, 1, 1, 0]),
        # n = 3, K = ⌈1.5⌉ = 2; the inactive 0 is not counted
        ([3, -1, 0, -4], [1, 1, 0, 1], 0.5, [1, 1, 0, 0]),
        # an active weight of value 0 goes before any other
        ([3, 0, 0, -4], [1, 1, 0, 1], 0.3, [0, 1, 0, 0]),
        # rate 1: all but the last, for no tensor is emptied
        ([3, -1, 2, -4], [1, 1, 1, 1], 1.0, [1, 1, 1, 0]),
        # rate 0: nothing
        ([3, -1, 2, -4], [1, 1, 1, 1], 0.0, [0, 0, 0, 0]),
        # a single active weight stays
        ([3, 0, 0, 0], [1, 0, 0, 0], 0.9, [0, 0, 0, 0]),
    ],
)
def test_magnitude(weight: list[float], mask: list[int], rate: float, expected: list[int]) -> None:
    assert gone("magnitude", view(weight, mask), rate=rate) == [expected]


def test_magnitude_settles_ties_by_the_generator() -> None:
    # |w| = 1 1 1 5, K = 2: one of three pairs, each as often as another, 5 never
    seen = Counter(tuple(gone("magnitude", view([1, -1, 1, 5], seed=s))[0]) for s in range(300))
    assert set(seen) == {(1, 1, 0, 0), (1, 0, 1, 0), (0, 1, 1, 0)}
    assert min(seen.values()) > 70
    assert gone("magnitude", view([1, -1, 1, 5], seed=7)) == gone(
        "magnitude", view([1, -1, 1, 5], seed=7)
    )


@pytest.mark.parametrize(
    ("weight", "mask", "rate", "expected"),
    [
        # K = 2: the smallest positive (1) and the negative nearest 0 (-2), not the -9
        ([1, 3, -2, -9], [1, 1, 1, 1], 0.5, [1, 0, 1, 0]),
        # by magnitude alone 1 and 1.5 would go
        ([1, 1.5, -5, -9], [1, 1, 1, 1], 0.5, [1, 0, 1, 0]),
        # K = 3: the odd one is a positive
        ([1, 3, 4, -2, -3, -9], [1] * 6, 0.5, [1, 1, 0, 1, 0, 0]),
        # one negative only, K = 4: the positives make up for it
        ([1, 3, 4, 5, 6, -2, 0, 0], [1] * 6 + [0, 0], 0.6, [1, 1, 1, 0, 0, 1, 0, 0]),
        # no positive
        ([-1, -2, -3, -4], [1, 1, 1, 1], 0.5, [1, 1, 0, 0]),
        # freshly grown zeros count as positive; inactive ones are not there
        ([0, 2, -1, -3, 0, 0], [1, 1, 1, 1, 0, 0], 0.5, [1, 0, 1, 0, 0, 0]),
    ],
)
def test_set(weight: list[float], mask: list[int], rate: float, expected: list[int]) -> None:
    assert gone("set", view(weight, mask), rate=rate) == [expected]


def test_set_takes_half_from_each_sign_when_both_have_ties() -> None:
    for seed in range(50):
        ((a, b, c, d),) = gone("set", view([1, 1, -2, -2], seed=seed))
        assert a + b == 1
        assert c + d == 1


def test_global_magnitude_ranks_the_whole_network() -> None:
    # Σn = 6, K = 3: 1, 2, 3 go, wherever they are
    assert gone("global_magnitude", view([1, 9, 2]), view([3, -8, 7])) == [[1, 0, 1], [1, 0, 0]]
    # K = ⌈0.34 · 6⌉ = 3
    assert gone("global_magnitude", view([1, 9, 2]), view([3, -8, 7]), rate=0.34) == [
        [1, 0, 1],
        [1, 0, 0],
    ]


def test_global_magnitude_empties_no_tensor() -> None:
    # 1 2 3 would go; 3 is its tensor's last, so 7 goes
    assert gone("global_magnitude", view([1, 2, 3]), view([9, 8, 7])) == [[1, 1, 0], [0, 0, 1]]


def test_global_magnitude_settles_ties_over_the_network() -> None:
    # K = 2 of the four 1s in two tensors
    seen = Counter(
        str(gone("global_magnitude", view([1, 1], seed=s), view([1, 1]))) for s in range(200)
    )
    assert set(seen) == {  # never both of one tensor, which would empty it
        "[[1, 0], [1, 0]]",
        "[[1, 0], [0, 1]]",
        "[[0, 1], [1, 0]]",
        "[[0, 1], [0, 1]]",
    }


def test_threshold_takes_what_lies_under_it_and_adapts() -> None:
    control = Control("removal", "threshold", REMOVALS["threshold"])
    shown = [view([0.1, 0.2, 5, 6]), view([7, 8, 0.3, -0.1])]  # Σn = 8
    for threshold, rate, expected, following in [
        (0.2, 0.5, [[1, 1, 0, 0], [0, 0, 0, 1]], 0.4),  # 3 of 4 wanted: doubles
        (0.3, 0.5, [[1, 1, 0, 0], [0, 0, 1, 1]], 0.3),  # 4 of 4: stays
        (0.3, 0.25, [[1, 1, 0, 0], [0, 0, 1, 1]], 0.15),  # 4 of 2: halves
        (0.01, 0.5, [[0] * 4, [0] * 4], 0.02),  # none
        (9.0, 0.5, [[1, 1, 1, 0], [1, 0, 1, 1]], 4.5),  # all but the last of each
    ]:
        masks, new = remove(shown, control, rate, 0, threshold)
        assert [mask.int().flatten().tolist() for mask in masks] == expected
        assert new == pytest.approx(following)


def test_taylor_ranks_by_weight_times_gradient() -> None:
    # (w·g)² = 9, 4, 0, 16: the weight without gradient and the second go
    assert gone("taylor", view([3, -1, 2, -4], gradient=[1.0, 2.0, 0.0, -1.0])) == [[0, 1, 1, 0]]


def test_taylor_with_zero_gradients_is_a_lot() -> None:
    seen = {
        tuple(gone("taylor", view([3, 1, 2, 4], gradient=[0.0] * 4, seed=s))[0]) for s in range(99)
    }
    assert len(seen) == 6
    assert all(sum(mask) == 2 for mask in seen)


def test_mest_adds_the_gradient() -> None:
    # |w| + |g| = 3 1 2 4 + 0 5 0 0: without g the second would go
    shown = view([3, -1, 2, -4], gradient=[0.0, -5.0, 0.0, 0.0])
    assert gone("mest", shown) == [[1, 0, 1, 0]]
    salience = REMOVALS["mest"](shown, gamma=0.1)
    torch.testing.assert_close(salience, torch.tensor([[3.0, 1.5, 2.0, 4.0]]))


def test_random_removal_takes_each_active_weight_equally_often() -> None:
    totals = torch.zeros(5)
    for seed in range(600):
        totals += torch.tensor(gone("random", view([9, 1, 5, 0, 2], [1, 1, 1, 0, 1], seed=seed))[0])
    assert totals[3] == 0
    assert totals.sum() == 2 * 600
    assert ((totals[[0, 1, 2, 4]] - 300).abs() < 60).all()


# ── growth: mask → what comes ────────────────────────────────────────────────────────────────────


def test_random_growth_is_uniform_over_free_places() -> None:
    seen = Counter(
        tuple(grown("random", view([1, 0, 0, 0, 2], [1, 0, 0, 0, 1], seed=s), 2))
        for s in range(600)
    )
    assert set(seen) == {(0, 1, 1, 0, 0), (0, 1, 0, 1, 0), (0, 0, 1, 1, 0)}
    assert min(seen.values()) > 150


def test_gradient_growth_takes_the_largest_dense_gradients_of_inactive_weights() -> None:
    # the largest gradient, 9, belongs to an active weight
    shown = view([1, 0, 0, 0], [1, 0, 0, 0], gradient=[9.0, -3.0, 1.0, 2.0])
    assert grown("gradient", shown, 2) == [0, 1, 0, 1]


def test_zero_gradients_are_ties() -> None:
    seen = {
        tuple(grown("gradient", view([1, 0, 0, 0], [1, 0, 0, 0], gradient=[0.0] * 4, seed=s), 1))
        for s in range(50)
    }
    assert seen == {(0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)}


def test_momentum_growth_reads_the_average_and_not_the_gradient() -> None:
    shown = view(
        [1, 0, 0, 0], [1, 0, 0, 0], gradient=[0.0, 9.0, 0.0, 0.0], average=[9.0, 0.1, -3.0, 2.0]
    )
    assert grown("momentum", shown, 2) == [0, 0, 1, 1]


def test_random_unfired_visits_new_places_first() -> None:
    #      active  was active  never  never
    shown = view([1, 0, 0, 0], [1, 0, 0, 0], ever=[1, 1, 0, 0])
    assert grown("random_unfired", shown, 2) == [0, 0, 1, 1]
    assert grown("random_unfired", shown, 3) == [0, 1, 1, 1]  # then the others
    assert sum(grown("random_unfired", shown, 1)[2:]) == 1


def test_cell_gate_follows_mean_active_magnitude() -> None:
    # two gates of one row; mean active |w| 3 and 1, four to grow: 3 and 1
    shown = view(
        [[3, 0, 0, 0, 0, 0], [-1, 1, 0, 0, 0, 0]],
        [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]],
        gates=("input", "forget"),
    )
    mask = grown("cell_gate", shown, 4)
    assert sum(mask[:6]) == 3
    assert sum(mask[6:]) == 1
    assert mask[0] == mask[6] == mask[7] == 0


def test_cell_gate_is_capped_by_free_places() -> None:
    # the strong gate has one free place; the rest goes to the weak one
    shown = view(
        [[9, 9, 9, 0], [1, 0, 0, 0]], [[1, 1, 1, 0], [1, 0, 0, 0]], gates=("input", "forget")
    )
    assert grown("cell_gate", shown, 4) == [0, 0, 0, 1, 0, 1, 1, 1]
    # fully active: nothing is free in it
    shown = view([[9, 9], [1, 0]], [[1, 1], [1, 0]], gates=("input", "forget"))
    assert grown("cell_gate", shown, 1) == [0, 0, 0, 1]


#   two gates of 8; shares 3 : 1, so 6 and 2 of the 8 that are active; 3 + 2 are left, 3 come: to 6 and 2
def test_by_gate_keeps_densities_in_proportion_to_shares() -> None:
    weight = [[1.0] * 8, [1.0] * 8]
    mask = [[1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]]
    shown = view(weight, mask, gates=("input", "forget"))
    start = Control("init", "by_gate", partial(INITS["by_gate"], shares=(3.0, 1.0)))
    (first,) = initial_masks([shown], 8, start)
    assert first.sum(1).tolist() == [6, 2]
    salience = GROWTHS["by_gate"](replace(shown, count=3), shares=(3.0, 1.0))
    assert salience.sum(1).tolist() == [3, 0]
    assert not bool((salience.bool() & shown.mask).any())
    with pytest.raises(ValueError, match=r"has 2 gates .input, forget., and shares has 3 numbers"):
        INITS["by_gate"](shown, shares=(1.0, 1.0, 1.0))
    # without gates, and without shares, as any other
    assert INITS["by_gate"](view(weight), shares=(3.0, 1.0)) == [16.0]
    assert INITS["by_gate"](shown) == [8.0, 8.0]


def test_cell_gate_without_gates_grows_anywhere() -> None:
    seen = {tuple(grown("cell_gate", view([1, 0, 0], [1, 0, 0], seed=s), 1)) for s in range(30)}
    assert seen == {(0, 1, 0), (0, 0, 1)}


@pytest.mark.parametrize("name", sorted(GROWTHS))
def test_growth_that_fills_a_tensor(name: str) -> None:
    shown = view(
        [1, 0, 0, 2], [1, 0, 0, 1], gradient=[0.0, 1.0, 2.0, 0.0], average=[0.0, 1.0, 2.0, 0.0]
    )
    assert grown(name, shown, 2) == [0, 1, 1, 0]
    assert grown(name, shown, 0) == [0, 0, 0, 0]


# ── redistribution: who grows how many ───────────────────────────────────────────────────────────


def shares(name: str, views: list[TensorView], removed: list[int]) -> list[int]:
    control = Control("redistribution", name, REDISTRIBUTIONS[name])
    return redistribute(views, control, removed, sum(removed))


def pair(**of_first: Any) -> list[TensorView]:
    """Two tensors of 10 weights; 4 active of |w| = 3, and 6 active of |w| = 1."""
    first = view([3] * 10, [1] * 4 + [0] * 6, **of_first)
    second = view([-1] * 10, [1] * 6 + [0] * 4, gradient=[2.0] * 10, average=[1.0] * 5 + [0.0] * 5)
    return [first, second]


@pytest.mark.parametrize(
    ("name", "removed", "expected"),
    [
        ("none", [1, 3], [1, 3]),
        ("magnitude", [2, 2], [3, 1]),  # mean |w| 3 : 1
        ("nonzeros", [2, 3], [2, 3]),  # n = 4 : 6
        ("gradient", [2, 4], [4, 2]),  # mean |g| over active 4 : 2
        ("momentum", [2, 4], [3, 3]),  # mean |a| over active: 5/6 each
    ],
)
def test_shares(name: str, removed: list[int], expected: list[int]) -> None:
    first_average = [5 / 6] * 4 + [99.0] * 6  # inactive entries do not count
    views = pair(gradient=[-4.0] * 4 + [99.0] * 6, average=first_average)
    assert shares(name, views, removed) == expected


def test_shares_stop_at_free_places() -> None:
    full = view([5, 5, 5], name="full")  # lost 1: one free place
    empty = view([1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0])
    assert shares("magnitude", [full, empty], [1, 2]) == [1, 2]
    assert shares("nonzeros", [full, empty], [3, 0]) == [2, 1]


def test_zero_gradients_share_equally() -> None:
    views = pair(gradient=[0.0] * 10)
    views[1] = view([1] * 10, [1] * 6 + [0] * 4, gradient=[0.0] * 10)
    assert shares("gradient", views, [2, 2]) == [2, 2]


# ── initialisation ───────────────────────────────────────────────────────────────────────────────


def tensors(*shapes: tuple[int, int], **others: Any) -> list[TensorView]:
    return [view(torch.ones(shape).tolist(), **others) for shape in shapes]


def counts(name: str, views: list[TensorView], total: int) -> list[int]:
    masks = initial_masks(views, total, Control("init", name, INITS[name]))
    return [int(mask.sum()) for mask in masks]


def test_uniform_gives_every_tensor_the_density() -> None:
    # 40 + 20 + 6 weights, half of them: 33
    assert counts("uniform", tensors((8, 5), (4, 5), (2, 3)), 33) == [20, 10, 3]


def test_er_follows_rows_plus_columns() -> None:
    # rows + cols: 20 : 12 : 4 of 36
    assert counts("er", tensors((10, 10), (4, 8), (2, 2)), 18) == [10, 6, 2]


def test_er_makes_a_small_tensor_dense_and_solves_again() -> None:
    # ε = 60/36 would ask 6.67 of the 2 × 2's 4 and 20 of the 4 × 8's 32: it is dense, then
    # ε = 56/32 gives 35 and 21
    assert counts("er", tensors((10, 10), (4, 8), (2, 2)), 60) == [35, 21, 4]


def test_balanced_row_gives_each_row_as_many() -> None:
    (mask,) = initial_masks(tensors((6, 8)), 18, Control("init", "r", INITS["balanced_row"]))
    assert mask.sum(1).tolist() == [3] * 6
    (mask,) = initial_masks(tensors((6, 8)), 20, Control("init", "r", INITS["balanced_row"]))
    assert sorted(mask.sum(1).tolist()) == [3, 3, 3, 3, 4, 4]


def test_balanced_gate_gives_each_gate_as_many() -> None:
    views = tensors((8, 5), gates=("input", "forget", "cell", "output"))
    (mask,) = initial_masks(views, 20, Control("init", "g", INITS["balanced_gate"]))
    assert mask.view(4, -1).sum(1).tolist() == [5, 5, 5, 5]


def test_gates_may_differ_in_size() -> None:
    # gates of 2 and 6 rows of 5: density 0.5 each, and growth by mean active |w|, 3 to 1
    gates = {"narrow": 2, "wide": 6}
    (mask,) = initial_masks(
        tensors((8, 5), gates=gates), 20, Control("init", "g", INITS["balanced_gate"])
    )
    assert [int(mask[:2].sum()), int(mask[2:].sum())] == [5, 15]
    weight = [[3.0, 0.0]] + [[1.0, 0.0]] * 3
    shown = view(weight, [[1, 0]] * 4, gates={"narrow": 1, "wide": 3})
    assert grown("cell_gate", shown, 2) == [0, 1, *grown("cell_gate", shown, 2)[2:]]
    assert sum(grown("cell_gate", shown, 2)) == 2


def test_snip_keeps_the_most_sensitive_weights_of_the_network() -> None:
    # |w·g|: 3 2 0 | 8 1 4, three of them stay: 3 | 8 4
    views = [
        view([3, -1, 2], gradient=[1.0, -2.0, 0.0]),
        view([-4, 1, 2], gradient=[2.0, 1.0, 2.0]),
    ]
    masks = initial_masks(views, 3, Control("init", "snip", INITS["snip"]))
    assert [mask.int().flatten().tolist() for mask in masks] == [[1, 0, 0], [1, 0, 1]]


def test_placement_is_uniform() -> None:
    totals = torch.zeros(12)
    control = Control("init", "uniform", INITS["uniform"])
    for seed in range(600):
        (mask,) = initial_masks(tensors((3, 4), seed=seed), 4, control)
        totals += mask.flatten()
    assert ((totals - 200).abs() < 50).all()


# ── schedules and presets ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "at_quarter", "at_half", "at_end"),
    [
        ("cosine", 0.005 + 0.795 * (1 + math.sqrt(0.5)) / 2, 0.4025, 0.005),
        ("linear", 0.8 - 0.795 / 4, 0.4025, 0.005),
        ("constant", 0.8, 0.8, 0.8),
        ("polynomial", 0.005 + 0.795 * 0.75**3, 0.005 + 0.795 / 8, 0.005),
    ],
)
def test_schedules(name: str, at_quarter: float, at_half: float, at_end: float) -> None:
    rate = SCHEDULES[name]
    rates = [rate(progress, 0.8) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert rates == pytest.approx([0.8, at_quarter, at_half, at_end])


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_no_schedule_rises(name: str) -> None:
    for start in (0.0, 0.001, 0.9):
        rates = [SCHEDULES[name](step / 20, start) for step in range(21)]
        assert rates == sorted(rates, reverse=True)
        assert rates[0] == pytest.approx(start)


def test_presets_of_the_literature_are_there() -> None:
    assert {"set", "rigl", "snfs", "selfish_rnn", "itop", "static", "gradual", "snip"} <= set(
        PRESETS
    )
    assert PRESETS["rigl"]()["growth"] == "gradient"
    assert PRESETS["static"]()["update"] == "never"
