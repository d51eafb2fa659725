"""The winner in its user's hands: loaded, scoring what is new, exported, made fast.

Imports store, judgement and training. Called by `report` and `cli`, and from Python by the names
below.
"""

from hyperprune.export.exported import load_exported
from hyperprune.export.load import load_candidate, load_dense, load_winner
from hyperprune.export.network import Network, TrainedNetwork
from hyperprune.export.sequences import Answer, SequencesScore
from hyperprune.export.text import Score

__all__ = [
    "Answer",
    "Network",
    "Score",
    "SequencesScore",
    "TrainedNetwork",
    "load_candidate",
    "load_dense",
    "load_exported",
    "load_winner",
]
