"""Layers of different widths keep the contract that equal ones do."""

import functools

import pytest
from tiny import VOCABULARY

from hyperprune.builtin.models import MODELS
from hyperprune.errors import PluginError
from hyperprune.testing import models as suite

UNEVEN = {
    "stacked_lstm": {"hidden": [5, 3]},
    "gru": {"hidden": [3, 4], "embedding": 2},
    "rnn": {"hidden": [4, 2]},
    "rhn": {"hidden": [4, 3], "layers": 2, "depth": 2},
    "on_lstm": {"embedding": 5, "chunks": [[2, 1, 0], [3, 2]], "layers": 2},
    "awd_lstm_mos": {
        "hidden": [3, 4],
        "last": 2,
        "embedding": 5,
        "experts": 2,
        "latent": 3,
        "tied": False,
    },
    "min_gru": {"hidden": [5, 3], "embedding": 4, "layers": 2, "feed_forward": [3, 7]},
    "min_lstm": {"hidden": [3, 5], "layers": 2, "feed_forward": 2},
    "lru": {"hidden": [2, 3], "embedding": 5, "layers": 2, "expansion": 1},
    "slstm": {"hidden": [4, 6], "heads": 2, "layers": 2, "expansion": 0},
    "mlstm": {"hidden": [6, 4], "heads": 2, "layers": 2, "feed_forward": [3, 1]},
    "gated_linear": {"hidden": [2, 4], "heads": 2, "state": 2, "layers": 2, "expansion": 1},
}


@pytest.mark.parametrize("check", [suite.check_step, suite.check_units, suite.check_tangent])
@pytest.mark.parametrize("name", UNEVEN)
def test_contract(name, check):
    check(functools.partial(MODELS[name], VOCABULARY, **UNEVEN[name]))


@pytest.mark.parametrize("name", ["gru", "on_lstm"])
def test_gradients(name):
    suite.check_losses(functools.partial(MODELS[name], VOCABULARY, **UNEVEN[name]))


def test_a_width_for_each_layer():
    with pytest.raises(PluginError, match="3 widths for 2 layers"):
        MODELS["gru"](VOCABULARY, hidden=[2, 3, 4])
    with pytest.raises(PluginError, match="feed_forward has 1 widths for 2 layers"):
        MODELS["min_gru"](VOCABULARY, hidden=4, layers=2, feed_forward=[2])
    with pytest.raises(PluginError, match="does not divide"):
        MODELS["slstm"](VOCABULARY, hidden=[4, 3], heads=2, layers=2)
    with pytest.raises(PluginError, match="a layer without a unit"):
        MODELS["on_lstm"](VOCABULARY, chunks=[[0, 0], [1]], layers=2, tied=False)
