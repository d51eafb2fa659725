"""Initial weights of sparse networks found by other means than a factor from the density."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune.builtin.models.stacked import StackedLSTM
from hyperprune.corpus.load import load_corpus
from hyperprune.recipe import Recipe
from hyperprune.training.build import build_model
from hyperprune.training.trainer import Trainer

ROWS = 4  # gates of an LSTM, in one tensor


@torch.no_grad()
def like_dense(trainer: Trainer, recipe: Recipe) -> None:
    """Scale tensor by tensor until each passes on what its dense twin does (as LSUV: Mishkin & Matas
    2016, with the twin's variance instead of 1).

    On the first segment, in evaluation mode: an embedding by the mean square of what it looks up; the
    input and recurrent weights of each layer by the mean square of their products, the decoder by
    that of its logits, each from the scaled layers before it.
    """
    sparse, model = trainer.sparse, trainer.model
    assert sparse is not None
    assert isinstance(model, StackedLSTM)
    twin = build_model(recipe, len(load_corpus(recipe.data).vocabulary), trainer.device)
    assert isinstance(twin, StackedLSTM)
    tokens = next(iter(trainer.task.epoch(trainer.cut, 0))).inputs
    model.eval()
    twin.eval()

    def match(own: Tensor, mine: Tensor, other: Tensor) -> None:
        own.mul_((other.square().mean() / mine.square().mean()).sqrt())

    match(model.encoder.weight, model.encoder(tokens), twin.encoder(tokens))
    x, y = model.encoder(tokens), twin.encoder(tokens)
    for layer in range(model.layers):
        for _ in range(2):  # recurrent products depend on the scale themselves
            (w_x, w_h, *_), (v_x, v_h, *_) = model.weights(layer), twin.weights(layer)
            match(w_x, x @ w_x.T, y @ v_x.T)
            h, g = _run(model, layer, x), _run(twin, layer, y)
            match(w_h, h @ w_h.T, g @ v_h.T)
        x, y = _run(model, layer, x), _run(twin, layer, y)
    match(model.decoder.weight, x @ model.decoder.weight.T, y @ twin.decoder.weight.T)


def _run(model: StackedLSTM, layer: int, x: Tensor) -> Tensor:
    """Outputs (T, B, H) of one layer from a zero state."""
    one = torch.nn.LSTM(x.shape[-1], model.rnn.hidden_size)
    for own, given in zip(one.parameters(), model.weights(layer), strict=True):
        own.data.copy_(given)
    out: Tensor = one(x)[0]
    return out


@torch.no_grad()
def isometric(trainer: Trainer, recipe: Recipe) -> None:
    """Bring each gate's recurrent weights near a multiple of an orthogonal matrix within their mask
    (approximate isometry: Lee et al. 2020, arXiv 1906.06307, §5), keeping their mean square.
    """
    assert trainer.sparse is not None
    for name, mask in trainer.sparse.masks.items():
        if "weight_hh" not in name:
            continue
        weight = trainer.model.get_parameter(name)
        blocks = zip(weight.chunk(ROWS), mask.chunk(ROWS), strict=True)
        for own, places in blocks:
            size = own.square().sum()
            w = own * (own.shape[0] / size).sqrt()  # as an orthogonal matrix: Σ w² = H
            eye = torch.eye(w.shape[0])
            for _ in range(300):
                w = (w - 0.1 * w @ (w.T @ w - eye)) * places
            own.copy_(w * (size / w.square().sum()).sqrt())
