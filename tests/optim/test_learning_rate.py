"""The course of the learning rate: exact factors, and a short run is a prefix of its long one."""

from __future__ import annotations

import pytest
import torch

from hyperprune.optim.learning_rate import LearningRate, plateaus
from hyperprune.recipe import load_recipe
from hyperprune.training.build import build_trainer, load_task


def test_constant_is_one() -> None:
    assert [LearningRate(epochs=4).factor(done) for done in (0.0, 1.5, 4.0)] == [1, 1, 1]


def test_warm_up_rises_in_a_line_and_multiplies_the_course() -> None:
    rate = LearningRate("step", epochs=10, warmup=2, decay=0.5, decay_every=1)
    # half-way through the warm-up the step has fallen once: 0.5 · 0.5
    assert [rate.factor(done) for done in (0.0, 0.5, 1.0, 2.0)] == [0.0, 0.25, 0.25, 0.25]


def test_cosine_falls_from_the_end_of_the_warm_up_to_the_floor() -> None:
    rate = LearningRate("cosine", epochs=10, warmup=2, floor=0.1)
    assert rate.factor(2.0) == 1
    assert rate.factor(6.0) == pytest.approx(0.5)  # half of the 8 epochs that are left
    assert rate.factor(10.0) == 0.1


def test_step_falls_at_whole_epochs() -> None:
    rate = LearningRate("step", epochs=9, decay=0.25, decay_every=3)
    assert [rate.factor(done) for done in (2.99, 3.0, 6.5)] == [1, 0.25, 0.0625]


def test_plateaus_count_epochs_without_a_new_best() -> None:
    losses = [5.0, 4.0, 4.1, 3.9, 4.0, 3.9, 4.2]  # 4.1, then 4.0, 3.9 (no better) and 4.2
    assert plateaus(losses, 1) == 4
    assert plateaus(losses, 2) == 1  # 4.0 and 3.9 make one; 4.2 waits for company
    assert plateaus(losses, 4) == 0
    assert LearningRate("plateau", decay=0.5).factor(7.0, losses) == 0.5**4


COURSES = {
    "cosine": ['train.schedule="cosine"'],
    "plateau": ['train.schedule="plateau"', "train.lr=60"],
}


@pytest.mark.parametrize("course", COURSES)
def test_weights_move_by_the_rate_of_the_course(toy_recipe, course) -> None:
    """A warm-up as long as the first epoch, seen from its first step: all but nothing moves."""
    recipe = load_recipe(toy_recipe, [*COURSES[course], "train.warmup=1", "train.weight_decay=0"])
    trainer = build_trainer(recipe, load_task(recipe), sparse=False)
    before = [p.detach().clone() for p in trainer.model.parameters()]
    moved: list[float] = []

    def on_step(step: int, steps: int) -> None:
        now = [p.detach() for p in trainer.model.parameters()]
        change = sum(float((p - b).square().sum()) for p, b in zip(now, before, strict=True))
        moved.append(change**0.5)
        for p, b in zip(now, before, strict=True):
            b.copy_(p)

    trainer.run_epoch(on_step)
    # The gradient's norm is clipped at 0.25, so a step is at most lr · 0.25 · (step + ½) / steps.
    bounds = [recipe.train.lr * 0.25 * (k + 0.5) / len(moved) for k in range(len(moved))]
    assert all(step <= bound * 1.001 for step, bound in zip(moved, bounds, strict=True))
    assert torch.tensor(moved).max() > 5 * moved[0]


def test_the_dense_rate_is_put_back_after_every_step(toy_recipe) -> None:
    recipe = load_recipe(toy_recipe, COURSES["cosine"])
    trainer = build_trainer(recipe, load_task(recipe), sparse=True)
    trainer.run_epoch()
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [recipe.train.lr]
