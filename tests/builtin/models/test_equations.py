"""Each network's forward pass against its equations, in evaluation and with every dropout drawn."""

from __future__ import annotations

import pytest
import torch
from reference import cells as oracles
from tiny import TINY, VOCABULARY
from torch import Tensor

from hyperprune.builtin.models import MODELS
from hyperprune.layers.dropout import keep_mask
from hyperprune.runtime.seeds import seeded

T, B, SEED = 5, 2, 9
CPU = torch.device("cpu")


def network(case: str):
    name, options = TINY[case]
    with seeded(1, CPU):
        model = MODELS[name](VOCABULARY, **options).double()
    state = tuple(torch.randn_like(part) / 2 for part in model.initial_state(B))
    text = torch.randint(VOCABULARY, (T, B), generator=torch.Generator().manual_seed(2))
    return model, state, text


class Masks:
    """Draws a network's dropout masks in its own order; ones in evaluation."""

    def __init__(self, training: bool) -> None:
        self.training = training

    def __call__(self, p: float, *shape: int) -> Tensor:
        like = torch.zeros((), dtype=torch.float64)
        if not self.training or p == 0:
            return torch.ones(shape, dtype=torch.float64)
        return keep_mask(shape, p, like)

    def weight(self, weight: Tensor, p: float) -> Tensor:
        return torch.nn.functional.dropout(weight, p, self.training)


def compare(case: str, training: bool, run) -> None:
    model, state, text = network(case)
    model.train(training)
    with torch.no_grad():
        with seeded(SEED, CPU):
            logits, _ = model(text, state)
        with seeded(SEED, CPU):
            wanted = run(model, state, text, Masks(training))  # (T, B, V)
    torch.testing.assert_close(logits.log_softmax(-1), wanted.log_softmax(-1), rtol=0, atol=1e-6)


def per_sequence(x: Tensor, run, *states: Tensor) -> Tensor:
    """Run (T, B, E) one sequence at a time."""
    columns = [run(list(x[:, b]), b, *(s[b] for s in states)) for b in range(x.shape[1])]
    return torch.stack([torch.stack(column) for column in columns], 1)


def decoded(model, x: Tensor) -> Tensor:
    return x @ model.decoder.weight.T + model.decoder.bias


@pytest.mark.parametrize("case", ["stacked_lstm", "stacked_lstm tied", "stacked_lstm one layer"])
def test_stacked_lstm(case):
    def run(model, state, text, masks):
        x = model.encoder.weight[text]
        for layer in range(model.layers):
            w_x, w_h, b_x, b_h = model.weights(layer)
            x = per_sequence(
                x,
                lambda xs, b, h, c, w=(w_x, w_h, b_x + b_h): oracles.lstm(xs, h, c, *w),
                *state[2 * layer : 2 * layer + 2],
            )
        return decoded(model, x)

    compare(case, False, run)


def test_gru():
    def run(model, state, text, masks):
        x = model.encoder.weight[text]
        for layer in range(model.layers):
            w = model.weights(layer)
            x = per_sequence(x, lambda xs, b, h, w=w: oracles.gru(xs, h, *w), state[layer])
        return decoded(model, x)

    compare("gru", False, run)


def test_tanh():
    def run(model, state, text, masks):
        x = model.encoder.weight[text]
        for layer in range(model.layers):
            w_x, w_h, b_x, b_h = model.weights(layer)
            w = (w_x, w_h, b_x + b_h)
            x = per_sequence(x, lambda xs, b, h, w=w: oracles.tanh(xs, h, *w), state[layer])
        return decoded(model, x)

    compare("rnn", False, run)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", ["rhn", "rhn uncoupled", "rhn layers", "rhn shallow"])
def test_rhn(case, training):
    def run(model, state, text, masks):
        drop = model.dropouts
        x = (model.encoder.weight * masks(drop.embedding, VOCABULARY)[:, None])[text]
        x = x * masks(drop.input, 1, *x.shape[1:])
        for layer, s in zip(model.layers, state, strict=True):
            hidden = masks(drop.hidden, *s.shape)
            W, recurrent = layer.input.weight, [(k.weight, k.bias) for k in layer.recurrent]
            coupled = len(W) == 2 * s.shape[1]
            x = per_sequence(
                x,
                lambda xs, b, s, mask, w=(W, recurrent, coupled): oracles.highway(xs, s, *w, mask),
                s,
                hidden,
            )
            x = x * masks(drop.output, 1, *x.shape[1:])
        return decoded(model, x)

    compare(case, training, run)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", ["on_lstm", "on_lstm untied"])
def test_on_lstm(case, training):
    def run(model, state, text, masks):
        drop, chunk = model.dropouts, model.cells[0].chunk
        x = (model.encoder.weight * masks(drop.embedding, VOCABULARY)[:, None])[text]
        x = x * masks(drop.input, 1, *x.shape[1:])
        for index, layer in enumerate(model.layers):
            weight = masks.weight(layer.recurrent.weight, drop.weight)
            w = (layer.input.weight, weight, layer.input.bias + layer.recurrent.bias, chunk)
            x = per_sequence(
                x,
                lambda xs, b, h, c, w=w: oracles.ordered(xs, h, c, *w),
                *state[2 * index : 2 * index + 2],
            )
            p = drop.output if index == len(model.layers) - 1 else drop.hidden
            x = x * masks(p, 1, *x.shape[1:])
        return decoded(model, x)

    compare(case, training, run)


@pytest.mark.parametrize("training", [False, True])
def test_awd_lstm_mos(training):
    def run(model, state, text, masks):
        drop = model.dropouts
        x = (model.encoder.weight * masks(drop.embedding, VOCABULARY)[:, None])[text]
        x = x * masks(drop.input, 1, *x.shape[1:])
        for index, layer in enumerate(model.layers):
            w_x, w_h, b_x, b_h = layer.parameters()
            w = (w_x, masks.weight(w_h, drop.weight), b_x + b_h)
            x = per_sequence(
                x,
                lambda xs, b, h, c, w=w: oracles.lstm(xs, h, c, *w),
                *state[2 * index : 2 * index + 2],
            )
            p = drop.output if index == len(model.layers) - 1 else drop.hidden
            x = x * masks(p, 1, *x.shape[1:])
        mask = masks(drop.latent, 1, B, len(model.latent.bias))
        w = (model.prior.weight, model.latent.weight, model.latent.bias, model.experts)
        E, bias = model.decoder.weight, model.decoder.bias
        return per_sequence(
            x, lambda xs, b: [oracles.mixture(h, *w, E, bias, mask[0, b]) for h in xs]
        )

    compare("awd_lstm_mos", training, run)


@pytest.mark.parametrize("case", ["stacked_lstm", "gru", "rnn"])
def test_ordinary_dropout_is_drawn_anew_for_every_element(case):
    model, state, text = network(case)
    model.train()
    with torch.no_grad():
        dropped, raw, _ = model.features(text, state)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], raw[kept] / (1 - model.dropout))
    assert not (kept == kept[:1]).all()  # over time
    assert 0.1 < kept.double().mean() < 0.7


@pytest.mark.parametrize("case", ["on_lstm", "awd_lstm_mos"])
def test_penalties_are_added_to_the_training_loss(case):
    model, state, text = network(case)
    model.train()
    with torch.no_grad():
        with seeded(SEED, CPU):
            loss, nll, _ = model.training_loss(text, text, state)
        with seeded(SEED, CPU):
            dropped, raw, _ = model.features(text, state)
    ar = 2 * (dropped**2).mean()
    tar = 1 * ((raw[1:] - raw[:-1]) ** 2).mean()
    torch.testing.assert_close(loss, nll + ar + tar)


@pytest.mark.parametrize("case", ["on_lstm", "awd_lstm_mos"])
def test_weight_drop_keeps_masked_weights_out(case):
    # A recurrent weight that is 0 passes no gradient on to what it would have connected, and
    # dropping never writes to the parameter.
    model, state, text = network(case)
    weight = dict(model.named_parameters())[
        "layers.0.recurrent.weight" if case == "on_lstm" else "layers.0.weight_hh_l0"
    ]
    with torch.no_grad():
        weight[:, 2:] = 0
    before = weight.detach().clone()
    model.train()
    changed = tuple(part.clone() for part in state)
    changed[0][:, 2:] += 1  # units that no active weight reads
    with torch.no_grad():
        outputs = []
        for start in (state, changed):
            with seeded(SEED, CPU):
                outputs.append(model(text, start)[0])
    assert torch.equal(*outputs)
    assert torch.equal(weight, before)


def test_on_lstms_last_chunk_never_moves():
    model, _, text = network("on_lstm")
    _, state = model.eval()(text, model.initial_state(B))
    for part in state:
        torch.testing.assert_close(part[:, -3:], torch.zeros(B, 3).double(), rtol=0, atol=1e-14)
