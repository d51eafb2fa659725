"""Micro-batches, drawn segment lengths, bf16 and the fine-tune restart of the training loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hyperprune.builtin.models import MODELS
from hyperprune.builtin.tasks.language import LanguageModelling
from hyperprune.corpus import Corpus
from hyperprune.optim import build_optimizer
from hyperprune.runtime.seeds import seeded
from hyperprune.task import Cut
from hyperprune.task.segments import pieces
from hyperprune.training.trainer import Trainer

VOCABULARY = 11
TEXT = torch.randint(VOCABULARY, (400,), generator=torch.Generator().manual_seed(1))
TASK = LanguageModelling(Corpus("", tuple("abcdefghijk"), TEXT, TEXT[:60], TEXT[:60]))


def trainer(dropout: float = 0.0, variable: bool = False, **options) -> Trainer:
    with seeded(1, torch.device("cpu")):
        model: nn.Module = MODELS["stacked_lstm"](VOCABULARY, hidden=6, dropout=dropout)
    return Trainer(
        model,
        build_optimizer("snt_asgd", model, lr=2.0, weight_decay=1e-4),
        TASK,
        cut=Cut(batch=4, bptt=10, variable=variable),
        epochs=4,
        clip=0.25,
        seed=1,
        eval_batch=2,
        **options,
    )


def weights(of: Trainer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in of.model.parameters()]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_micro_batches_add_up_to_the_batch(rows):
    whole, parts = trainer(), trainer(micro_batch=rows)
    assert whole.run_epoch().train_loss == pytest.approx(parts.run_epoch().train_loss, abs=1e-5)
    for one, other in zip(weights(whole), weights(parts), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_drawn_segments_cover_the_text_once_within_bounds():
    cut = Cut(batch=4, bptt=70, variable=True)
    plan = list(pieces(cut, 20_000, seed=3))
    sizes = [size for _, size in plan]
    assert [start for start, _ in plan] == [sum(sizes[:i]) for i in range(len(sizes))]
    assert sum(sizes) == 19_999
    assert all(5 <= size <= 90 for size in sizes[:-1])
    halved = sum(size < 50 for size in sizes) / len(sizes)  # N(35, 5) one time in twenty
    assert 0.01 < halved < 0.1
    assert list(pieces(cut, 20_000, seed=3)) == plan
    assert list(pieces(cut, 20_000, seed=4)) != plan


def test_learning_rate_follows_the_length_of_a_segment():
    run = trainer(variable=True)
    rates = []
    step = run.optimizer.step
    run.optimizer.step = lambda: (rates.append(run.optimizer.param_groups[0]["lr"]), step())[1]
    lengths = [size for _, size in pieces(run.cut, 100, _segment_seed(run))]
    run.run_epoch()
    assert rates == pytest.approx([2.0 * size / 10 for size in lengths])
    assert run.optimizer.param_groups[0]["lr"] == 2.0


def _segment_seed(run: Trainer) -> int:
    from hyperprune.runtime.seeds import derive

    return derive(run.seed, "segments", run.epoch)


def test_restart_goes_on_from_the_averages():
    run = trainer(dropout=0.3, finetune=(2,))
    run.optimizer.averaging = True
    run.run_epoch()
    before = run.run_epoch().valid_loss
    assert run.optimizer.averaging
    assert run.optimizer.averaged_steps == 0
    assert not run.optimizer.state
    assert (
        run.evaluate(run.heldout("valid")).loss == before
    )  # what was the average is now the weight
    restarted = weights(run)
    run.run_epoch()
    assert run.optimizer.averaged_steps == 10  # steps of one epoch: of these alone is the average
    moved = zip(restarted, weights(run), strict=True)
    assert any(not torch.equal(one, other) for one, other in moved)


def test_bf16_trains_to_nearly_the_same_loss():
    losses = [trainer(precision=name).run_epoch().valid_loss for name in ("float32", "bfloat16")]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
