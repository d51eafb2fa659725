"""A training that is put down and taken up again, through its folder, ends with the same bits."""

import math

import pytest
import torch

from hyperprune.corpus.load import load_corpus
from hyperprune.errors import Diverged
from hyperprune.recipe import load_recipe
from hyperprune.store.training import TrainingFolder
from hyperprune.training.build import build_trainer, load_task, measure_spectrum, spectrum_text
from hyperprune.training.outcome import EpochRecord

VARIANTS = {
    "averaging": ["train.nonmono=1", "train.lr=60.0"],
    "momentum growth": ['prune.growth="momentum"', 'prune.redistribution="momentum"'],
    "gradient growth every 7 steps": ['prune.growth="gradient"', "prune.update=7"],
    "threshold": ['prune.removal="threshold"', 'prune.redistribution="nonzeros"'],
    "adam": ['train.optimizer="adam"', "train.lr=0.01"],
    "drawn segments, micro-batches": ["train.variable_bptt=true", "train.micro_batch=4"],
    "static": ['prune.update="never"', 'prune.init="er"'],
    "scaled initial weights": ['prune.init_scale="variance"', 'prune.init="er"'],
    "warm-up, plateau": ['train.schedule="plateau"', "train.warmup=1.5", "train.lr=60.0"],
}


def epoch_of(trainer, recipe, history):
    metrics = trainer.run_epoch()
    text = spectrum_text(load_task(recipe), recipe.spectrum)
    spectrum = measure_spectrum(trainer, text, recipe.spectrum)
    history.append(
        EpochRecord(
            metrics.epoch,
            metrics.train_loss,
            metrics.valid_loss,
            metrics.averaging,
            spectrum.largest,
            spectrum.floored,
            trainer.sparse.topology().plain(),
        )
    )
    return spectrum


@pytest.mark.parametrize("variant", VARIANTS)
def test_taken_up_again_it_ends_with_the_same_bits(toy_recipe, tmp_path, variant):
    recipe = load_recipe(toy_recipe, VARIANTS[variant])
    whole, records = build_trainer(recipe, load_task(recipe), sparse=True), []
    for _ in range(4):
        epoch_of(whole, recipe, records)

    folder, parts = TrainingFolder(tmp_path / "training"), []
    for _ in range(4):  # a new process an epoch
        trainer = build_trainer(recipe, load_task(recipe), sparse=True)
        history = folder.restore(trainer)
        spectrum = epoch_of(trainer, recipe, history)
        folder.save(trainer, spectrum, history)
        parts = history
    assert parts == records
    for (name, a), (_, b) in zip(
        whole.model.named_parameters(), trainer.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    if variant == "averaging":
        assert records[-1].averaging


def test_validation_is_of_the_saved_weights(toy_recipe, tmp_path):
    recipe = load_recipe(toy_recipe, VARIANTS["averaging"])
    trainer, history = build_trainer(recipe, load_task(recipe), sparse=True), []
    folder = TrainingFolder(tmp_path / "training")
    for _ in range(4):
        folder.save(trainer, epoch_of(trainer, recipe, history), history)
    from hyperprune.store import atomic
    from hyperprune.training.build import load_weights

    tensors, about = atomic.read_tensors(folder.best)
    other = build_trainer(recipe, load_task(recipe), sparse=False)
    load_weights(other, tensors)
    assert (
        other.evaluate(other.heldout("valid")).loss
        == about["valid_loss"]
        == min(r.valid_loss for r in history)
    )
    for name, weight in other.model.named_parameters():
        if f"mask/{name}" in tensors:
            assert not weight[~tensors[f"mask/{name}"]].any()


def test_topology_changes_between_epochs_only_and_never_at_the_end(toy_recipe):
    recipe = load_recipe(toy_recipe)
    trainer = build_trainer(recipe, load_task(recipe), sparse=True)
    before = {name: mask.clone() for name, mask in trainer.sparse.masks.items()}
    trainer.run_epoch()
    assert all(torch.equal(mask, before[name]) for name, mask in trainer.sparse.masks.items())
    assert trainer.sparse.updates == 0
    for _ in range(4):
        trainer.run_epoch()
    assert trainer.epoch == 5
    assert trainer.sparse.updates == 4  # after epochs 1 to 4, not after the last


def test_losses_are_nats_per_token(toy_recipe):
    """With all weights zero every word is equally likely: the loss is ln V."""
    recipe = load_recipe(toy_recipe)
    trainer = build_trainer(recipe, load_task(recipe), sparse=False)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.zero_()
    words = len(load_corpus(recipe.data).vocabulary)
    assert trainer.evaluate(trainer.heldout("valid")).loss == pytest.approx(
        math.log(words), abs=1e-6
    )


def test_an_exploding_loss_is_a_divergence(toy_recipe):
    recipe = load_recipe(toy_recipe, ["train.lr=1e30", "train.clip=0"])
    with pytest.raises(Diverged, match="loss"):
        build_trainer(recipe, load_task(recipe), sparse=True).run_epoch()
