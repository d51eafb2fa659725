"""From a recipe's words to objects: corpus, network, optimiser, sparse engine, trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from hyperprune.corpus import Corpus, Sequences
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import PluginError, RecipeError
from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from hyperprune.model import Features
from hyperprune.optim import build_optimizer
from hyperprune.optim.learning_rate import LearningRate
from hyperprune.plugins import registry
from hyperprune.recipe.records import Recipe, Train
from hyperprune.recipe.records import Spectrum as SpectrumSettings
from hyperprune.runtime.seeds import derive, seeded
from hyperprune.sparsity import SparseTraining
from hyperprune.task import Cut, Split, Task
from hyperprune.training.budget import density_within
from hyperprune.training.int8 import held
from hyperprune.training.pruning import pruning
from hyperprune.training.trainer import Trainer, copy_into


def resolve_device(name: str) -> torch.device:
    """Turn `auto` into what this machine has; raises RecipeError where CUDA is asked for in vain."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise RecipeError(
            ["train.device: found 'cuda', but torch sees no GPU; use 'auto' or 'cpu'"]
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def build_model(recipe: Recipe, size: int | Features, device: torch.device) -> nn.Module:
    """Make the network with initial weights that depend on the recipe's seed alone."""
    build = registry().bind("model", recipe.model.name, recipe.model.options)
    if isinstance(size, Features) and not reads(recipe.model.name):
        able = [item.name for item in registry().of_kind("model") if reads(item.name)]
        raise RecipeError(
            [
                f"model.name: {recipe.model.name!r} reads token ids, and task {recipe.task.name!r} has "
                f"{size.inputs} features a step; models that read features: {', '.join(able)}"
            ]
        )
    with seeded(derive(recipe.seed, "weights"), torch.device("cpu")):
        model = build(size)
    if not isinstance(model, nn.Module) or not any(True for _ in model.parameters()):
        what = "a network without weights" if isinstance(model, nn.Module) else type(model).__name__
        raise PluginError(
            f"model {recipe.model.name!r} built {what}; a model is an nn.Module with parameters"
        )
    return model.to(device)


def reads(model: str) -> bool:
    """Whether a model declares to read features."""
    return bool(getattr(registry().get("model", model).target, "features", False))


Kept: TypeAlias = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]
"""Weights of a network, and its masks."""


def build_trainer(recipe: Recipe, task: Task, *, sparse: bool, int8: Kept | None = None) -> Trainer:
    """Make the trainer of a candidate, or with `sparse=False` of the dense reference.

    `int8`: weights and masks from which a candidate is trained on as eight bits will hold them.
    """
    train = recipe.train
    if train.precision == "auto":
        raise RecipeError(
            ["train.precision: found 'auto', which only a run settles; say float32 or bfloat16"]
        )
    check_lengths(recipe, task)
    model = build_model(recipe, task.size, resolve_device(train.device))
    if int8 is not None:
        copy_into(model.named_parameters(), int8[0])
    optimizer = build_optimizer(
        train.optimizer, model, lr=train.lr, weight_decay=train.weight_decay, nonmono=train.nonmono
    )
    density = density_within(model, recipe.prune) if sparse and int8 is None else None
    trainer = Trainer(
        model,
        optimizer,
        task,
        cut=training_cut(train),
        epochs=train.epochs,
        clip=train.clip,
        seed=recipe.seed,
        update="never" if density == 1 else recipe.prune.update,
        finetune=train.finetune,
        eval_batch=train.eval_batch,
        micro_batch=train.micro_batch,
        precision=train.precision,
        rate=_learning_rate(train),
        hold=None if int8 is None else held,
    )
    if int8 is not None:
        given = {**pruning(recipe.prune), "density": None, "initial_density": None}
        trainer.sparse = SparseTraining(
            model, optimizer, masks=int8[1], **given, seed=derive(recipe.seed, "masks")
        )
    elif sparse:
        trainer.sparse = SparseTraining(
            model,
            optimizer,
            **pruning(recipe.prune, density),
            gradients=trainer.gradients,
            seed=derive(recipe.seed, "masks"),
        )
    return trainer


def training_cut(train: Train) -> Cut:
    """How the training split is cut into batches."""
    return Cut(train.batch, train.bptt, train.variable_bptt, train.max_bptt)


def load_task(recipe: Recipe, data: Corpus | Sequences | None = None) -> Task:
    """The task of a recipe, with its data, loaded unless given."""
    make = registry().bind("task", recipe.task.name, recipe.task.options)
    task = make(load_corpus(recipe.data) if data is None else data)
    if not isinstance(task, Task):
        raise PluginError(
            f"task {recipe.task.name!r} made {type(task).__name__}; a task is a hyperprune.task.Task"
        )
    return task


def check_lengths(recipe: Recipe, task: Task) -> None:
    """Raise CorpusError where a split is too short for its batch."""
    train = recipe.train
    splits: tuple[tuple[Split, str, int], ...] = (
        ("train", "train.batch", train.batch),
        ("valid", "train.eval_batch", train.eval_batch),
        ("test", "train.test_batch", train.test_batch or train.eval_batch),
    )
    for split, key, batch in splits:
        task.check(Cut(batch, train.bptt), split, key)


def _learning_rate(train: Train) -> LearningRate:
    return LearningRate(
        train.schedule,
        train.epochs,
        train.warmup,
        train.decay,
        train.decay_every,
        train.patience,
        train.lr_floor,
    )


def load_weights(trainer: Trainer, tensors: Mapping[str, Tensor]) -> None:
    """Put saved evaluation weights into a trainer's network."""
    copy_into(trainer.model.named_parameters(), tensors)


def spectrum_text(task: Task, settings: SpectrumSettings) -> Tensor:
    """Held-out inputs (T, B, …) that drive every spectrum of a run: the same for every network."""
    steps = settings.steps + (settings.burn_in if settings.protocol == "standard" else 0)
    return task.driving(settings.sequences, steps)


def measure_spectrum(
    trainer: Trainer, text: Tensor, settings: SpectrumSettings
) -> LyapunovSpectrum:
    """Measure the spectrum of the network that would be saved now (averages, once they run)."""
    trainer.model.eval()
    with trainer.as_saved():
        return lyapunov_spectrum(
            trainer.model,
            text.to(trainer.device),
            state_kind=settings.state,
            burn_in=settings.burn_in,
            steps=settings.steps,
            protocol=settings.protocol,
            dtype=getattr(torch, settings.dtype),
        )
