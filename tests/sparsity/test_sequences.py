"""Whatever users do to a sparse network, in whatever order: counts, zeros and state hold."""

from __future__ import annotations

import pytest
from sequences import OPTIMIZERS, REFUSED, TORCHS, run
from torch import nn, optim

from hyperprune.errors import SparsityError
from hyperprune.sparsity import SparseTraining


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_random_sequences_of_deeds(optimizer: type[optim.Optimizer]) -> None:
    for seed in range(20):
        run(seed, optimizer=optimizer)


@pytest.mark.soak
@pytest.mark.parametrize("start", range(10_000, 22_000, 500))
def test_twelve_thousand_sequences(start: int) -> None:
    """`pytest -m soak tests/sparsity/test_sequences.py`: an optimiser by lot, longer sequences."""
    for seed in range(start, start + 500):
        run(seed, deeds=20)


def test_every_optimiser_of_torch_is_driven_or_refused_in_a_sentence() -> None:
    for kind in TORCHS:
        if kind in REFUSED:
            model = nn.Linear(3, 3)
            with pytest.raises(SparsityError, match=rf"{kind.__name__} .*; use another optimiser"):
                SparseTraining(model, kind(model.parameters()), density=0.5)
        else:
            assert kind in OPTIMIZERS
