"""The winner in its user's hands: loaded, scoring and writing text, exported, made fast.

Imports store, judgement and training. Called by `report` and `cli`, and from Python by the names
below.
"""

from hyperprune.export.exported import load_exported
from hyperprune.export.load import load_candidate, load_dense, load_winner
from hyperprune.export.network import Network, TrainedNetwork
from hyperprune.export.text import Score

__all__ = [
    "Network",
    "Score",
    "TrainedNetwork",
    "load_candidate",
    "load_dense",
    "load_exported",
    "load_winner",
]
