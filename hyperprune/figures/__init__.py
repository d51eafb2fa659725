"""Plotly figures of a run, from its result or its folder: `figures.learning_curves("runs/mine").show()`.

Each is one function; its docstring says how to read it, and report, live page and docs print that as
the caption. Imports judgement and the store. Called by `report`, `serve` and people.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperprune.figures.course import survival, time_spent, timeline
from hyperprune.figures.curves import (
    distances,
    frontier,
    learning_curves,
    lost_directions,
    winners,
)
from hyperprune.figures.signals import early_signal
from hyperprune.figures.space import importance, parallel_coordinates, slices
from hyperprune.figures.spectra import paper, spectra, spectra_over_epochs
from hyperprune.figures.topology import active_weights, exploration, gates, masks
from hyperprune.figures.view import RunView, Source, look

__all__ = [
    "GALLERY",
    "Entry",
    "RunView",
    "Source",
    "active_weights",
    "distances",
    "early_signal",
    "exploration",
    "frontier",
    "gates",
    "importance",
    "learning_curves",
    "look",
    "lost_directions",
    "masks",
    "paper",
    "parallel_coordinates",
    "slices",
    "spectra",
    "spectra_over_epochs",
    "survival",
    "time_spent",
    "timeline",
    "winners",
]


@dataclass(frozen=True)
class Entry:
    """A figure's place in a page: the question it answers, its title, and who draws it."""

    section: str
    title: str
    draw: Callable[..., Any]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.draw.__name__

    @property
    def caption(self) -> str:
        """How to read it: the function's docstring on one line."""
        return " ".join((inspect.getdoc(self.draw) or "").split())


GALLERY = (
    Entry("What was tried?", "Learning curves", learning_curves),
    Entry("What was tried?", "Survival", survival),
    Entry("What was tried?", "Candidates through the space", parallel_coordinates),
    Entry("What mattered?", "Importance of settings", importance),
    Entry("What mattered?", "Setting by setting", slices),
    Entry("Can I trust it?", "Spectra, distances, results", paper),
    Entry("Can I trust it?", "LS distance", distances),
    Entry("Can I trust it?", "Lost directions", lost_directions),
    Entry("Can I trust it?", "Did the early signal tell?", early_signal),
    Entry("Can I trust it?", "Lyapunov spectra", spectra),
    Entry("Can I trust it?", "A spectrum as it trains", spectra_over_epochs),
    Entry("Where are the weights?", "Density by tensor", active_weights),
    Entry("Where are the weights?", "Active weights by gate", gates),
    Entry("Where are the weights?", "Exploration", exploration),
    Entry("Where are the weights?", "Masks", masks),
    Entry("Where are the weights?", "Size against quality", frontier),
    Entry("What did it cost?", "Where the time went", time_spent),
    Entry("What did it cost?", "Workers", timeline),
)
"""Every figure of a run, in the order in which a page shows them."""
