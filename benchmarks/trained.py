"""Small networks trained sparsely on the shipped text: what spectra are measured on.

They are made once, under the folder given, and read from there afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hyperprune.corpus.load import load_corpus
from hyperprune.recipe import Recipe, loads
from hyperprune.training.build import build_model, build_trainer, load_task, spectrum_text

HIDDEN, LAYERS, EPOCHS = 64, 2, 3
SPARSITIES = (0.67, 0.9, 0.95, 0.98)

RECIPE = """
[data]
corpus = "pydoc"
[model]
name = "{model}"
init_range = 0.3
{options}
[train]
epochs = 8
lr = {lr}
batch = 10
bptt = 20
device = "cpu"
threads = 1
[prune]
sparsity = {sparsity}
[spectrum]
sequences = 4
[search]
candidates = 2
[rounds]
first = 3
epochs = 1
"""
PLAIN = f"hidden = {HIDDEN}\nembedding = {HIDDEN}\nlayers = {LAYERS}\ndropout = 0.2\n"
LOCKED = "dropout_hidden = 0.1\ndropout_input = 0.2\ndropout_embedding = 0.05\n"
ARCHITECTURES: dict[str, tuple[str, str, float]] = {
    "lstm": ("stacked_lstm", PLAIN, 20.0),
    "tanh": ("rnn", PLAIN, 2.0),
    "gru": ("gru", PLAIN, 10.0),
    "rhn": ("rhn", PLAIN + LOCKED + "depth = 3\n", 10.0),
    "on_lstm": ("on_lstm", PLAIN + LOCKED + "chunk = 8\nweight_drop = 0.2\n", 15.0),
}


def recipe_of(architecture: str, sparsity: float, seed: int) -> Recipe:
    """The recipe of one network; sparsity 0 is the dense one."""
    model, options, lr = ARCHITECTURES[architecture]
    text = RECIPE.format(model=model, options=options, lr=lr, sparsity=sparsity)
    return loads(text, architecture).model_copy(update={"seed": seed})


def trained(folder: Path, architecture: str, sparsity: float, seed: int) -> Any:
    """A network trained for `EPOCHS` epochs, in evaluation mode."""
    recipe = recipe_of(architecture, sparsity, seed)
    path = folder / f"{architecture}-{sparsity}-{seed}.safetensors"
    if not path.exists():
        torch.set_num_threads(1)
        trainer = build_trainer(recipe, load_task(recipe), sparse=sparsity > 0)
        for _ in range(EPOCHS):
            metrics = trainer.run_epoch()
        print(f"{path.stem}: validation {metrics.valid_loss:.3f} nats", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with trainer.optimizer.averaged():
            save_file({n: p.detach().clone() for n, p in trainer.model.named_parameters()}, path)
    model = build_model(recipe, len(load_corpus(recipe.data).vocabulary), torch.device("cpu"))
    weights = load_file(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model.eval()


def held_out(architecture: str) -> Tensor:
    """The tokens (T, B) that a recipe's spectra are driven by."""
    recipe = recipe_of(architecture, 0.67, 1)
    return spectrum_text(load_task(recipe), recipe.spectrum)
