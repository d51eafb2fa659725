"""Units that no output depends on go, and nothing else changes."""

from dataclasses import replace

import pytest
import torch
import typer

import hyperprune
from hyperprune.cli import app
from hyperprune.errors import PluginError
from hyperprune.export.shrink import cut, living
from hyperprune.model import Place, Units
from hyperprune.plugins import registry
from hyperprune.sparsity import SparseTraining

CASES = {
    "stacked_lstm": {"hidden": 6},
    "gru": {"hidden": 6, "tied": True},
    "rnn": {"hidden": 5, "embedding": 4, "layers": 3},
    "rhn": {"hidden": 6, "depth": 2, "layers": 2},
    "on_lstm": {"embedding": 6, "hidden": 9, "chunk": 3},
    "awd_lstm_mos": {"embedding": 5, "hidden": 7, "last": 6, "experts": 3},
    "min_gru": {"hidden": 6, "embedding": 5, "layers": 2, "expansion": 1, "tied": True},
    "min_lstm": {"hidden": [4, 5], "layers": 2, "feed_forward": [3, 6]},
    "lru": {"hidden": 4, "embedding": 6, "layers": 2, "expansion": 1},
    "gated_linear": {"hidden": 6, "heads": 2, "state": 3, "layers": 2, "expansion": 1},
    "mlstm": {"hidden": 6, "heads": 2, "layers": 2, "expansion": 1},
    "slstm": {"hidden": 8, "heads": 2, "layers": 2, "expansion": 1},
}


def test_what_reaches_an_output_lives():
    # The output reads unit 0, which unit 1 sends to; 2 and 3 send to each other alone.
    #     W_h = 0 5 0 0      read = 1 0 0 0
    #           0 0 0 0
    #           0 0 0 7
    #           0 0 7 0
    own = torch.tensor([[0.0, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 7], [0, 0, 7, 0]])
    weights = {"own": own, "read": torch.tensor([[1.0, 0, 0, 0]]), "bias": torch.arange(4.0)}
    places = (Place("own", 0), Place("bias", 0), Place("own", 1, sends=True))
    units = {"layer": Units(4, (*places, Place("read", 1, sends=True)))}
    kept = living(weights, units)
    assert kept["layer"].tolist() == [True, True, False, False]
    narrow = cut(weights, units, kept)
    assert narrow["own"].tolist() == [[0, 5], [0, 0]]
    assert narrow["read"].tolist() == [[1, 0]]
    assert narrow["bias"].tolist() == [0, 1]
    silent = living({**weights, "read": torch.zeros(1, 4)}, units)["layer"]
    assert silent.tolist() == [True, False, False, False]  # a layer cannot be without units


@pytest.fixture
def network(request, finished):
    """A network of an architecture: of every group unit 1 sends nothing, of layers one more."""
    winner = hyperprune.load_winner(finished)
    item, options = registry().get("model", request.param), CASES[request.param]
    torch.manual_seed(1)
    model = item.bind(options)(len(winner.vocabulary)).eval()
    masks = {n: torch.rand(p.shape) < 0.9 for n, p in model.named_parameters() if p.dim() > 1}
    for number, units in enumerate(model.units().values()):
        for place in units.places:
            for start in place.starts if place.sends else ():
                entries = masks[place.weight].movedim(place.dim, 0)
                entries[[start + 1, start + min(2 + number, units.size - 1)]] = False
    for name, mask in masks.items():
        model.get_parameter(name).data.mul_(4 * mask)
    settings = type(winner.recipe.model)(name=request.param, options=options)
    about = winner.about.model_copy(
        update={"recipe": winner.recipe.model_copy(update={"model": settings})}
    )
    return replace(winner, model=model, masks=masks, about=about)


@pytest.mark.parametrize("network", CASES, indirect=True)
def test_a_network_without_its_dead_units_predicts_the_same(network, tmp_path):
    small = network.shrunk()
    tokens = torch.arange(12).view(6, 2) % len(network.vocabulary)
    wanted, _ = network.predict(tokens, network.initial_state(2))
    before, after = network.model.units(), small.model.units()
    assert {n: before[n].size - after[n].size for n in small.about.cut} == small.about.cut
    assert small.about.cut.keys() == before.keys()
    path = network.export("compact", tmp_path / "small.hyp", shrink=True).path
    again = hyperprune.load_exported(path)
    assert all(torch.equal(again.masks[name], mask) for name, mask in small.masks.items())
    for other in (small, again):
        found, state = other.predict(tokens, other.initial_state(2))
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)
        assert [part.shape[1] for part in state] == [p.size for p in other.model.state_parts]
    carried, before = (sum(p.size for p in m.state_parts) for m in (again.model, network.model))
    assert (carried < before) == any(name.startswith("layer") for name in small.about.cut)
    assert again.shrunk() is again
    assert again.about.total == sum(p.numel() for p in again.model.parameters())

    # and trains on at the counts that are left
    optimizer = torch.optim.SGD(again.model.train().parameters(), lr=0.1)
    sparse = SparseTraining.resume(again.model, optimizer, masks=again.masks)
    logits, _ = again.model(tokens, again.initial_state(2))
    logits.logsumexp(-1).mean().backward()
    sparse.step(update=True, progress=0.5)
    assert sum(sparse.counts().values()) == again.about.active


@pytest.mark.parametrize("network", ["rnn"], indirect=True)
def test_a_narrower_step_is_traced(network, tmp_path):
    tokens = torch.arange(6).view(6, 1)
    wanted, _ = network.predict(tokens, network.initial_state(1))
    fast = network.shrunk().compiled("sparse")
    torch.testing.assert_close(fast.predict(tokens, fast.initial_state(1))[0], wanted)
    network.export("torch", tmp_path / "small.pt2", shrink=True)
    run = torch.export.load(tmp_path / "small.pt2").module()
    state = network.shrunk().initial_state(1)
    torch.testing.assert_close(run(tokens[0], state)[0], wanted[0])
    card = (tmp_path / "small.pt2.md").read_text()
    assert "dead units: 2 of 4 of embedding, 2 of 5 of layer 0" in card
    assert f"state_0 (B, {state[0].shape[1]})" in card


def test_the_command_says_what_went(finished, tmp_path, capsys):
    typer.main.get_command(app)(
        ["export", str(finished), "-f", "compact", "--shrink", "-o", str(tmp_path / "w")],
        standalone_mode=False,
    )
    said = capsys.readouterr().out
    assert "every unit is felt: none is cut out" in said or "dead units: " in said


def test_a_model_that_does_not_say_is_refused(finished):
    winner = hyperprune.load_winner(finished)
    with pytest.raises(PluginError, match="does not say where its units stand"):
        replace(winner, model=torch.nn.Linear(2, 2)).shrunk()
    normed = registry().get("model", "mlstm").bind({"hidden": 4, "heads": 2, "expansion": 0})(5)
    with pytest.raises(PluginError, match="normed together"):
        replace(winner, model=normed).shrunk()
