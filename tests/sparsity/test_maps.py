"""Density maps of masks, against blocks counted by hand."""

import torch

from hyperprune.sparsity.maps import CELLS, density_map


def test_a_small_mask_is_its_own_map():
    mask = torch.tensor([[True, False], [True, True]])
    assert density_map(mask).tolist() == [[1.0, 0.0], [1.0, 1.0]]


def test_a_large_mask_holds_the_density_of_its_blocks():
    # 2 × 100 with the left half full: 48 columns of blocks, those left of the middle 1, the rest 0.
    mask = torch.zeros(2, 100)
    mask[:, :50] = 1
    found = density_map(mask)
    assert found.shape == (2, CELLS)
    assert found[:, :24].min() == 1
    assert found[:, 24:].max() == 0


def test_every_weight_is_in_one_block():
    mask = torch.rand(97, 131, generator=torch.Generator().manual_seed(0)) < 0.3
    found = density_map(mask)
    rows = [97 * (i + 1) // CELLS - 97 * i // CELLS for i in range(CELLS)]
    columns = [131 * (i + 1) // CELLS - 131 * i // CELLS for i in range(CELLS)]
    counted = (
        torch.tensor(found).double() * torch.tensor(rows)[:, None] * torch.tensor(columns)
    ).sum()
    assert round(float(counted)) == int(mask.sum())
