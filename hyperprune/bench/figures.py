"""Plotly figures of a table: curves, spectra, early signal against the end, regret over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hyperprune.bench.signals import LOSS, Study
from hyperprune.bench.statistics import Array
from hyperprune.bench.summary import shown_searches
from hyperprune.bench.table import Table
from hyperprune.figures.style import DENSE_COLOUR, PALETTE, blank, label
from hyperprune.search.space import name_of

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SCALE = "Viridis"  # by final perplexity: dark is good


def shades(final: Array) -> list[str]:
    """A colour for each row, by the rank of its final loss."""
    from plotly.colors import sample_colorscale

    order = final.argsort().argsort() / max(1, len(final) - 1)
    colours: list[str] = sample_colorscale(SCALE, [float(share) * 0.9 for share in order])
    return colours


def spectra(table: Table, study: Study, state: str, epoch: int) -> go.Figure:
    """Spectra after an epoch, coloured by final perplexity, the dense one in black."""
    figure = blank("rank", f"exponent ({state} state, epoch {epoch}), nats per step")
    for row, colour in zip(study.rows, shades(study.final), strict=True):
        values = table.spectrum(table.index(row.name), epoch, state).sorted().tolist()
        _line(figure, range(1, len(values) + 1), values, row.name, colour)
    dense = table.spectrum(table.dense_row(study.recipe.seed), epoch, state).sorted().tolist()
    _line(figure, range(1, len(dense) + 1), dense, "dense", DENSE_COLOUR, 3)
    figure.update_layout(showlegend=False)
    return figure


def over_epochs(study: Study, values: Array, title: str, dense: Sequence[float] = ()) -> go.Figure:
    """One line a configuration over epochs, coloured by final perplexity."""
    figure = blank("epoch", title)
    for row, series, colour in zip(study.rows, values, shades(study.final), strict=True):
        _line(figure, range(1, len(series) + 1), series.tolist(), row.name, colour)
    if len(dense):
        _line(figure, range(1, len(dense) + 1), list(dense), "dense", DENSE_COLOUR, 3)
    figure.update_layout(showlegend=False)
    return figure


def scatter(study: Study, signal: str, epoch: int) -> go.Figure:
    """An early signal against final perplexity, coloured by the first control."""
    figure = blank(f"{signal} after epoch {epoch}", "final validation perplexity")
    path = next((d.path for d in study.space.dimensions if d.domain.size != 1), "")
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(study.rows):
        groups.setdefault(name_of(row.configuration.get(path, "–")), []).append(index)
    for number, (value, group) in enumerate(sorted(groups.items())):
        figure.add_scatter(
            x=study.signals[signal][group, epoch - 1].tolist(),
            y=study.perplexity[group].tolist(),
            text=[label(study.rows[index].name) for index in group],
            name=label(value),
            mode="markers",
            marker={"color": PALETTE[number % len(PALETTE)], "size": 9},
            error_y={"type": "constant", "value": study.noise * float(np.median(study.perplexity))},
        )
    return figure


def regrets(replay: Mapping[str, Any], noise: float) -> go.Figure:
    """Median regret over epochs spent, one line a method, the noise floor shaded."""
    figure = blank("epochs spent", "median regret, perplexity above the table's best")
    figure.add_hrect(0, noise, fillcolor="#b8bec6", opacity=0.4, line_width=0)
    for number, (name, found) in enumerate(shown_searches(replay["methods"])):
        dash = DASHES[number // len(PALETTE) % len(DASHES)]
        colour = PALETTE[number % len(PALETTE)]
        _line(figure, replay["grid"], found["curve"], name, colour, 2, dash)
    return figure


def charts(table: Table, study: Study, found: Mapping[str, Any]) -> dict[str, go.Figure]:
    """All figures of a table's report, by title."""
    first = study.recipe.rounds.first
    own = study.own_distance
    loss = study.signals[LOSS]
    dense = table.series["valid_loss"][table.dense_row(study.recipe.seed)].exp().tolist()
    return {
        f"Spectra after {first} epochs": spectra(table, study, "hidden", first),
        "Spectra at the end": spectra(table, study, "hidden", study.epochs),
        "LS distance over epochs": over_epochs(study, study.signals[own], own),
        "Perplexity over epochs": over_epochs(study, np.exp(loss), "validation perplexity", dense),
        "Early distance against the end": scatter(study, own, first),
        "Early loss against the end": scatter(study, LOSS, first),
        "Regret over epochs": regrets(found["replay"], found["facts"]["noise_perplexity"]),
    }


def _line(
    figure: go.Figure,
    x: Sequence[int],
    y: Sequence[float | None],
    name: str,
    colour: str,
    width: int = 1,
    dash: str = "solid",
) -> None:
    figure.add_scatter(
        x=list(x),
        y=list(y),
        name=label(name),
        mode="lines",
        line={"color": colour, "width": width, "dash": dash},
    )
