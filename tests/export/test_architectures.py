"""Every architecture, and a plugin's, is traced, stored as CSR or int8, and written as ONNX."""

import copy
from dataclasses import replace

import pytest
import torch

import hyperprune
from hyperprune.errors import RunError
from hyperprune.export.fast import CompiledNetwork, compiled
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.step import sequence_program, step_module
from hyperprune.plugins import registry
from hyperprune.recipe.records import Model
from hyperprune.testing.tiny import TinyModel

MODELS = [*registry().names("model"), "plugin"]


def tiny_model(vocabulary):
    return TinyModel(vocabulary, hidden=8)


@pytest.fixture
def network(request, finished):
    """A small network of an architecture, two thirds of its weights 0."""
    winner = hyperprune.load_winner(finished)
    if request.param == "plugin":
        build = tiny_model
    else:
        item = registry().get("model", request.param)
        build = item.bind(getattr(item.target, "example", {}))
    torch.manual_seed(1)
    model = build(len(winner.vocabulary)).eval()
    masks = {}
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            masks[name] = torch.rand(parameter.shape) < 0.33
            parameter.data *= masks[name] * 3
    return replace(winner, model=model, masks=masks)


def predictions(network, batch=1):
    tokens = torch.arange(6 * batch).view(6, batch) % len(network.vocabulary)
    return network.predict(tokens, network.initial_state(batch))


def quickly(*names):
    """Every model; those that are not named are slow: the others do all that they do."""
    return [pytest.param(m, marks=[pytest.mark.slow] * (m not in names)) for m in MODELS]


STACKS = ("awd_lstm_mos", "gru", "on_lstm", "rhn", "rnn", "stacked_lstm", "plugin")


@pytest.mark.parametrize("network", quickly(*STACKS, "slstm", "gated_linear"), indirect=True)
def test_a_sparse_step_computes_what_the_model_does(network):
    fast = compiled(network, "sparse")
    for batch in (1, 3):
        for mine, wanted in zip(
            torch.utils._pytree.tree_leaves(predictions(fast, batch)),
            torch.utils._pytree.tree_leaves(predictions(network, batch)),
            strict=True,
        ):
            torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-5)
    # Nothing dense is left beside it: 4 + 4 bytes an active entry, 4 a row, and the vectors. Rows of a
    # matrix may be read in two parts, as where some read convolved inputs: each part counts its end.
    rows = sum(mask.shape[0] + 2 for mask in network.masks.values())
    active = sum(int(mask.sum()) for mask in network.masks.values())
    vectors = sum(p.numel() for p in network.model.parameters() if p.dim() < 2)
    assert fast.nbytes <= 8 * active + 4 * rows + 4 * vectors


@pytest.mark.parametrize("network", quickly(*STACKS, "slstm"), indirect=True)
def test_a_step_that_other_weights_traced_serves_and_int8_is_near(network):
    other = copy.deepcopy(network.model)
    for parameter in other.parameters():
        parameter.data.fill_(0.1)
    step = step_module(replace(network, model=other))
    kinds = {kind: CompiledNetwork(network, kind, step) for kind in ("dense", "int8")}
    wanted, _ = predictions(network)
    torch.testing.assert_close(predictions(kinds["dense"])[0], wanted, rtol=0, atol=1e-5)
    assert (predictions(kinds["int8"])[0] - wanted).abs().max() < 0.3
    assert kinds["int8"].nbytes < kinds["dense"].nbytes
    assert not torch.allclose(step(torch.tensor([0]), network.initial_state(1))[0][0], wanted[0, 0])


@pytest.mark.parametrize("network", quickly(*STACKS, "gated_linear"), indirect=True)
def test_onnx_is_written_and_checked(network, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    again = hyperprune.load_exported(
        network.export("onnx", tmp_path / "w.onnx", form="sequence").path
    )
    mine, wanted = predictions(again, 2), predictions(network, 2)
    torch.testing.assert_close(mine[0], wanted[0], rtol=0, atol=1e-4)


RESIDUAL = ("gated_linear", "lru", "min_gru", "min_lstm", "mlstm", "slstm")


def one_at_a_time(network, tokens):
    """Log-probabilities of tokens (T, 1), each given by itself with the state that the last one left."""
    state, found = network.initial_state(1), []
    for token in tokens:
        predicted, state = network.predict(token[None], state)
        found.append(predicted)
    return torch.cat(found)


@pytest.mark.parametrize("network", RESIDUAL, indirect=True)
def test_residual_blocks_are_kept_compactly_and_streamed(network, request, tmp_path):
    name = request.node.callspec.params["network"]
    own = Model(name=name, options=registry().get("model", name).target.example)
    recipe = network.recipe.model_copy(update={"model": own})
    about = network.about.model_copy(update={"recipe": recipe})
    network = replace(network, about=about)
    tokens = torch.arange(7)[:, None] % len(network.vocabulary)
    wanted, _ = network.predict(tokens, network.initial_state(1))
    again = hyperprune.load_exported(network.export("compact", tmp_path / "w.hyp").path)
    torch.testing.assert_close(one_at_a_time(again, tokens), wanted, rtol=0, atol=1e-5)
    kept = dict(again.model.named_parameters())
    assert all(not kept[part][~mask].any() for part, mask in network.masks.items())


@pytest.mark.slow
@pytest.mark.parametrize("network", RESIDUAL, indirect=True)
def test_residual_blocks_are_streamed_as_onnx(network, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    tokens = torch.arange(7)[:, None] % len(network.vocabulary)
    wanted, _ = network.predict(tokens, network.initial_state(1))
    again = hyperprune.load_exported(network.export("onnx", tmp_path / "w.onnx", form="step").path)
    torch.testing.assert_close(one_at_a_time(again, tokens), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("network", ["stacked_lstm"], indirect=True)
def test_auto_takes_the_faster_of_those_that_are_exact(network: TrainedNetwork):
    fast = network.compiled()
    assert fast.seconds.keys() == {"dense", "sparse", "int8"}
    exact = {kind: fast.seconds[kind] for kind in ("dense", "sparse")}
    assert fast.kind == min(exact, key=exact.__getitem__)
    assert fast.score("w0 w1").perplexity == pytest.approx(network.score("w0 w1").perplexity)
    with pytest.raises(RunError, match="did you mean 'sparse'"):
        network.compiled("sparce")


@pytest.mark.parametrize("network", quickly("rhn", "plugin", "lru"), indirect=True)
def test_whole_segments_are_traced_for_any_length(network):
    run = sequence_program(network).module()
    tokens = torch.arange(10).view(5, 2) % len(network.vocabulary)
    with torch.no_grad():
        mine, _ = run(tokens, network.initial_state(2))
    wanted, _ = network.predict(tokens, network.initial_state(2))
    torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-5)
