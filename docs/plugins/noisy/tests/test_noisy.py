import torch
from hyperprune_noisy import noisy

from hyperprune.sparsity import TensorView


def view(weight, seed):
    weight = torch.tensor([weight])
    mask = weight != 0
    return TensorView("w", weight, mask, mask, torch.Generator().manual_seed(seed), density=0.5)


def test_without_noise_the_smallest_goes():
    assert int(noisy(view([3.0, -1.0, 2.0], seed=0), noise=0.0).argmin()) == 1


def test_near_ties_are_settled_by_lot_and_large_weights_stay():
    # 1.0 and 1.1 are near; 100 is e^4.5 away, nine times the noise of 0.5
    gone = [int(noisy(view([1.0, 1.1, 100.0], seed)).argmin()) for seed in range(400)]
    assert 100 < gone.count(0) < 300
    assert gone.count(2) == 0
