"""Streams depend on the seed and their name, on nothing else."""

import torch

from hyperprune.runtime.seeds import derive, seeded


def test_streams_are_apart_and_fixed():
    seeds = [
        derive(1, "weights"),
        derive(1, "masks"),
        derive(2, "weights"),
        derive(1, "weights", 1),
    ]
    assert len(set(seeds)) == 4
    assert derive(1, "weights") == seeds[0]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_block_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with seeded(3, torch.device("cpu")):
        inside = torch.rand(1)
    assert torch.equal(torch.rand(2), expected)
    with seeded(3, torch.device("cpu")):
        assert torch.equal(torch.rand(1), inside)
