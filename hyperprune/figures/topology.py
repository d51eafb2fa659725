"""Where active weights are: by tensor and gate, over epochs, and as pictures of masks."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from hyperprune.errors import HyperpruneError
from hyperprune.figures.style import SCALE, blank, brief, colours, label, panels, place
from hyperprune.figures.view import Source, look
from hyperprune.store import atomic
from hyperprune.training.outcome import DENSE

Array: TypeAlias = NDArray[np.float64]
CELLS = 48
"""Rows and columns of a mask's picture at most; each cell is the density of a block."""
TENSORS = 12


def active_weights(run: Source, name: str | None = None) -> go.Figure:
    """Share of weights that are active, by tensor, after each epoch of the best candidate's training.

    A line that rises got weights from one that falls: redistribution at work. Flat lines: none.
    """
    view = look(run)
    chosen = name or next(iter(view.leaders), DENSE)
    figure = blank("epoch", f"density, {label(chosen)}")
    found = view.tensors(chosen)
    tensors = [item.name for item in next(iter(found.values()), [])]
    for tensor in tensors[:TENSORS]:
        mine = [
            (epoch, item.active / item.size)
            for epoch, items in found.items()
            for item in items
            if item.name == tensor
        ]
        figure.add_scatter(
            x=[epoch for epoch, _ in mine],
            y=brief(density for _, density in mine),
            name=label(tensor),
            mode="lines",
        )
    figure.update_yaxes(rangemode="tozero", tickformat=".0%")
    return figure


def gates(run: Source, name: str | None = None) -> go.Figure:
    """How the active weights of the gated tensors divide among gates, over the epochs.

    Each tensor's gates have as many places; a share above the others' is a gate that was given more.
    """
    view = look(run)
    chosen = name or next(iter(view.leaders), DENSE)
    found = view.tensors(chosen)
    gated = [item.name for item in next(iter(found.values()), []) if item.gates][:TENSORS]
    if not gated:
        return blank("epoch", "share of active weights")
    columns = min(2, len(gated))
    figure = panels(gated, columns, 260)
    kinds = list(dict.fromkeys(gate for items in found.values() for i in items for gate in i.gates))
    for number, tensor in enumerate(gated):
        mine = [(e, item) for e, items in found.items() for item in items if item.name == tensor]
        for kind, colour in zip(kinds, figure.layout.template.layout.colorway, strict=False):
            figure.add_scatter(
                x=[epoch for epoch, _ in mine],
                y=brief(item.gates.get(kind, 0) / (item.active or 1) for _, item in mine),
                name=label(kind),
                legendgroup=kind,
                showlegend=number == 0,
                mode="lines",
                line={"color": colour},
                **place(number, columns),
            )
    figure.update_yaxes(tickformat=".0%")
    return figure


def exploration(run: Source) -> go.Figure:
    """Share of all masked weights that were ever active, over the epochs.

    It starts at the density and grows as weights are exchanged: how much of the dense network was
    tried (Liu et al. 2021 call it in-time over-parameterisation).
    """
    view = look(run)
    figure = blank("epoch", "ever active")
    chosen = colours(view.states)
    bright = set(view.leaders)
    for name in sorted(view.states, key=lambda name: name in bright):
        found = view.tensors(name)
        figure.add_scatter(
            x=list(found),
            y=brief(
                sum(i.ever_active for i in items) / sum(i.size for i in items)
                for items in found.values()
            ),
            name=label(name),
            mode="lines",
            line={"color": chosen[name], "width": 2 if name in bright else 0.8},
            showlegend=name in bright,
        )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def masks(run: Source, name: str | None = None) -> go.Figure:
    """Density maps of the masks that the best candidate ended with, from empty in the colour of the
    ground to full, as the bar says.

    Each cell is the active share of a block of rows and columns, rows from the top. Bands by rows are
    gates or units that matter; by columns, inputs that do.
    """
    view = look(run)
    chosen = name or next(iter(view.leaders), DENSE)
    try:
        tensors, _ = atomic.read_tensors(view.run.training(chosen).best)
    except HyperpruneError:
        tensors = {}
    found = {
        key.removeprefix("mask/"): _blocks(mask.numpy().astype(np.float64))
        for key, mask in sorted(tensors.items())
        if key.startswith("mask/") and mask.ndim == 2 and mask.numel()
    }
    kept = dict(list(found.items())[:TENSORS])
    if not kept:
        return blank("column", "row")
    columns = min(3, len(kept))
    figure = panels(list(kept), columns, 280)
    for number, density in enumerate(kept.values()):
        figure.add_heatmap(
            z=[brief(row, 3) for row in density.tolist()],
            coloraxis="coloraxis",
            hovertemplate="%{z:.0%} active<extra></extra>",
            **place(number, columns),
        )
    figure.update_layout(
        coloraxis={"colorscale": SCALE, "cmin": 0, "cmax": 1, "colorbar": {"tickformat": ".0%"}}
    )
    figure.update_xaxes(showticklabels=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, autorange="reversed")
    return figure


def _blocks(mask: Array) -> Array:
    """Mean density of a mask (rows, columns) over at most CELLS × CELLS blocks."""
    edges = [np.unique(np.linspace(0, n, min(n, CELLS) + 1).astype(int)) for n in mask.shape]
    sums = np.add.reduceat(np.add.reduceat(mask, edges[0][:-1], 0), edges[1][:-1], 1)
    sizes = np.outer(np.diff(edges[0]), np.diff(edges[1]))
    assert math.prod(mask.shape) == sizes.sum()
    density: Array = sums / sizes
    return density
