import pytest
import torch
from hyperprune_cht_controls import link_prediction, relative_importance, share

from hyperprune.sparsity import TensorView
from hyperprune.testing import check, check_in_run, contributions


@pytest.mark.parametrize("item", contributions("hyperprune-cht-controls"), ids=str)
def test_contract(item):
    check(item)
    check_in_run(item)


def view(weight, seed=0):
    weight = torch.tensor(weight)
    mask = weight != 0
    generator = torch.Generator().manual_seed(seed)
    return TensorView("w", weight, mask, mask, generator, density=0.5)


def test_a_greedy_temperature_ranks_by_relative_importance():
    # |w|: 4 1 0    row sums 5, 2;  column sums 4, 2, 1
    #      0 1 1    4: 4/5 + 1, first 1: 1/5 + 1/2, second 1: 1/2 + 1/2, last 1: 1/2 + 1
    salience = relative_importance(view([[4.0, -1.0, 0.0], [0.0, 1.0, -1.0]]), temperature=1e4)
    order = salience[[0, 0, 1, 1], [0, 1, 1, 2]].argsort().tolist()
    assert order == [1, 2, 3, 0]


def test_removal_follows_the_shares():
    # importance of a row of one column each: |w|/Σ row + 1 = 1.1, 1.9: the first goes more often
    gone = [int(relative_importance(view([[1.0, 9.0]], seed)).argmin()) for seed in range(2000)]
    assert gone.count(0) / 2000 == pytest.approx(1.9 / 3.0, abs=0.04)


def test_links_are_scored_by_hand():
    #      v0 v1 v2     the link (u1, v0) is missing; its paths: u1–v1–u0–v0 and no other
    # u0 [ 1  1  0 ]    v1: linked to u0 and u1, i = 1 (u0), e = 0: (1 + 1)/(1 + 0) = 2
    # u1 [ 0  1  1 ]    u0: linked to v0 and v1, i = 1 (v1), e = 0: 2;  score 4
    linked = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    columns = share(linked.t() @ linked, linked.sum(0))
    rows = share(linked @ linked.t(), linked.sum(1)).t()
    score = linked @ columns + rows @ linked
    assert score[1, 0] == 4


def test_a_link_without_paths_of_length_three_comes_last():
    #      v0 v1 v2 v3    (u0, v2) closes no path: u0 and v2 have no neighbours that are linked
    # u0 [ 1  1  0  0 ]   (u1, v1) does: u1–v0–u0–v1
    # u1 [ 1  0  0  0 ]
    # u2 [ 0  0  1  1 ]
    shown = view([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    salience = link_prediction(shown)
    assert salience[1, 1] > salience[0, 2] + 10
