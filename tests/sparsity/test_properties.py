"""Random shapes, densities, rates and updates through combinations of every control."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hyperprune.builtin.controls import GROWTHS, INITS, REDISTRIBUTIONS, REMOVALS, SCHEDULES
from hyperprune.optim import build_optimizer
from hyperprune.sparsity import SparseTraining


class Weights(nn.Module):
    def __init__(self, shapes: list[tuple[int, int]], seed: int) -> None:
        super().__init__()
        self.draw = torch.Generator().manual_seed(seed)
        self.shapes = shapes
        for i, (rows, columns) in enumerate(shapes):
            weight = torch.randn(2 * rows, columns, generator=self.draw)
            setattr(self, f"w{i}", nn.Parameter(weight.round(decimals=1)))  # with ties

    def gates(self) -> dict[str, tuple[str, ...]]:
        return {"w0": ("input", "forget")}

    def gradients(self) -> dict[str, Tensor]:
        return {
            name: torch.randn(p.shape, generator=self.draw).round(decimals=0)  # many zeros
            for name, p in self.named_parameters()
        }


@pytest.mark.parametrize("removal", sorted(REMOVALS))
@pytest.mark.parametrize("growth", sorted(GROWTHS))
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), min_size=1, max_size=4),
    density=st.floats(0.02, 1),
    start=st.floats(0, 1),
    rate=st.floats(0, 1),
    init=st.sampled_from(sorted(INITS)),
    redistribution=st.sampled_from(sorted(REDISTRIBUTIONS)),
    schedule=st.sampled_from(sorted(SCHEDULES)),
    optimizer=st.sampled_from(["snt_asgd", "sgd", "adam", "adamw"]),
    updates=st.lists(st.booleans(), min_size=1, max_size=6),
    seed=st.integers(0, 2**32),
)
def test_invariants(
    removal: str,
    growth: str,
    shapes: list[tuple[int, int]],
    density: float,
    start: float,
    rate: float,
    init: str,
    redistribution: str,
    schedule: str,
    optimizer: str,
    updates: list[bool],
    seed: int,
) -> None:
    """Σ active is exact, caps are kept, inactive is 0, nothing is NaN, equal runs are equal."""
    size = sum(2 * rows * columns for rows, columns in shapes)
    density = max(density, len(shapes) / size)
    gradual = start > density

    def run() -> list[Tensor]:
        model = Weights(shapes, seed)
        made = build_optimizer(optimizer, model, lr=0.1, weight_decay=1e-3)
        sparse = SparseTraining(
            model,
            made,
            density=density,
            initial_density=start if gradual else None,
            init=INITS[init],
            removal=REMOVALS[removal],
            growth=GROWTHS[growth],
            redistribution=REDISTRIBUTIONS[redistribution],
            schedule=SCHEDULES[schedule],
            removal_rate=rate,
            stop=0.8 if gradual else 1.0,
            seed=seed,
            gradients=model.gradients,
        )
        reached = start if gradual else density
        seen = []
        for step, update in enumerate(updates):
            for name, gradient in model.gradients().items():
                model.get_parameter(name).grad = gradient
            progress = step / len(updates)
            sparse.step(update=update, progress=progress)
            if update or progress >= 0.8:
                reached = sparse.timing.density_at(progress)
            counts = sparse.counts()
            assert sum(counts.values()) == round(reached * size)
            with made.averaged():
                for name, mask in sparse.masks.items():
                    weight = model.get_parameter(name)
                    assert 1 <= counts[name] == int(mask.sum()) <= mask.numel()
                    assert weight.isfinite().all()
                    assert not weight.detach()[~mask].any()
                    seen += [weight.detach().clone(), mask.clone()]
        return seen

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
