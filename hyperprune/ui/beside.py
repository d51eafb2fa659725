"""The best candidate's spectrum beside the dense one, as a small plot for a wide screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hyperprune.errors import HyperpruneError
from hyperprune.training.outcome import DENSE
from hyperprune.ui.plot import Series, plot
from hyperprune.ui.text import safe

WIDE, LINES = 100, 9
"""Columns, and lines that nothing else needs, from which there is a plot; and its height."""
PANEL = 40
"""Columns that a layer needs at least."""


@dataclass(frozen=True)
class Beside:
    """Resolved exponents of a candidate and of the dense reference after an epoch, layer by layer."""

    name: str
    epoch: int
    own: Sequence[Sequence[float]]
    dense: Sequence[Sequence[float]]


def beside_dense(folder: Path, name: str, epoch: int) -> Beside | None:
    """Read two stored spectra of a run; None where one is not there, or damaged."""
    from hyperprune.lyapunov import LyapunovSpectrum, compared
    from hyperprune.store.training import TrainingFolder

    if not re.fullmatch(r"c[0-9]{3,5}", name):  # a log may name what it likes
        return None
    try:
        own, dense = (
            LyapunovSpectrum.load(TrainingFolder(folder / each).spectrum(epoch))
            for each in (name, DENSE)
        )
    except HyperpruneError:
        return None
    own, dense = compared(own, dense)
    layers = [[values.tolist() for values in each.by_layer()] for each in (own, dense)]
    return Beside(name, epoch, *layers)


def small_plot(found: Beside, width: int, height: int = LINES) -> RenderableType:
    """A panel a layer, as many as fit side by side, under one line that says what is drawn."""
    shown = list(zip(found.own, found.dense, strict=False))[: max(1, width // PANEL)]
    title = Text(f"exponents by rank after epoch {found.epoch}  ", no_wrap=True)
    title.append("● ", style="blue")
    title.append("dense  ")
    title.append("● ", style="red")
    title.append(safe(found.name, 20))
    grid = Table.grid(padding=(0, 2, 0, 0))
    panels = []
    for own, dense in shown:
        series = [Series("dense", dense, "blue"), Series(found.name, own, "red")]
        panels.append(plot(series, min(60, width // len(shown) - 2), height - 1))
    grid.add_row(*panels)
    return Group(title, grid)
