"""Where active weights are: by tensor and gate, over epochs, and as pictures of masks."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import plotly.graph_objects as go
from torch import Tensor

from hyperprune.errors import HyperpruneError
from hyperprune.figures.style import PALETTE, SCALE, Line, blank, brief, crowd, label, panels, place
from hyperprune.figures.view import MANY, RunView, Source, look
from hyperprune.sparsity.maps import Map, density_map
from hyperprune.store import atomic
from hyperprune.store.training import split_masks
from hyperprune.training.outcome import DENSE

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
    _note_rest(figure, len(tensors))
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
    every = [item.name for item in next(iter(found.values()), []) if item.gates]
    if not every:
        return blank("epoch", "share of active weights")
    gated = every[:TENSORS]
    columns = min(2, len(gated))
    figure = panels(gated, columns, 260)
    _note_rest(figure, len(every))
    kinds = list(dict.fromkeys(gate for items in found.values() for i in items for gate in i.gates))
    for number, tensor in enumerate(gated):
        mine = [(e, item) for e, items in found.items() for item in items if item.name == tensor]
        for kind, colour in zip(kinds, cycle(PALETTE)):
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
    chosen = view.colours
    bright = set(view.leaders)
    lines: list[Line] = []
    for name in view.states:
        found = view.tensors(name).items()
        active = [sum(t.ever_active for t in ts) / sum(t.size for t in ts) for _, ts in found]
        lines.append((name, [epoch for epoch, _ in found], active))
    grey = [line for line in lines if line[0] not in bright]
    if len(grey) > MANY:
        crowd(figure, grey)
        grey = []
    for name, epochs, shares in (*grey, *(line for line in lines if line[0] in bright)):
        figure.add_scatter(
            x=epochs,
            y=brief(shares),
            name=label(name),
            mode="lines",
            line={"color": chosen[name], "width": 2 if name in bright else 0.8},
            showlegend=name in bright,
        )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def masks(run: Source, name: str | None = None) -> go.Figure:
    """Density maps of the masks of the best candidate: on the left as it began, on the right as it
    ended, from empty in the colour of the ground to full, as the bar says.

    Each cell is the active share of a block of rows and columns, rows from the top. Bands by rows are
    gates or units that matter; by columns, inputs that do. Random masks begin evenly strewn: what
    stands out on the right is what training moved.
    """
    view = look(run)
    chosen = name or next(iter(view.leaders), DENSE)
    before, after = _maps(view, chosen)
    every = list(after or before)
    if not every:
        return blank("column", "row")
    kept = every[:TENSORS]
    moments = {"at the start": before, "at its best": after}
    shown = {moment: maps for moment, maps in moments.items() if maps}
    columns = min(4, len(kept) * len(shown))
    titles = [f"{tensor}\n{moment}" for tensor in kept for moment in shown]
    figure = panels(titles, columns, 300)
    for number, tensor in enumerate(kept):
        for offset, maps in enumerate(shown.values()):
            if tensor in maps:
                figure.add_heatmap(
                    z=maps[tensor],
                    coloraxis="coloraxis",
                    hovertemplate="%{z:.0%} active<extra></extra>",
                    **place(number * len(shown) + offset, columns),
                )
    figure.update_layout(
        margin={"t": 48},
        coloraxis={"colorscale": SCALE, "cmin": 0, "cmax": 1, "colorbar": {"tickformat": ".0%"}},
    )
    _note_rest(figure, len(every))
    figure.update_xaxes(showticklabels=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, showgrid=False, autorange="reversed")
    return figure


def _note_rest(figure: go.Figure, count: int) -> None:
    """Say, above a figure, how many tensors there was no room for."""
    if count > TENSORS:
        corner = {"x": 1, "xanchor": "right", "y": 1, "yanchor": "top", "pad": {"t": 6, "r": 16}}
        figure.update_layout(
            title={"font": {"size": 12}} | corner,
            title_text=f"the first {TENSORS} of {count} tensors",
            margin_t=(figure.layout.margin.t or 28) + 24,
        )


def _maps(view: RunView, name: str) -> tuple[dict[str, Map], dict[str, Map]]:
    """Density maps of a training's masks before its first step, and with its best weights."""
    folder = view.run.training(name)
    start, best = _tensors(folder.start), _tensors(folder.best)
    return (
        {k: t.numpy() for k, t in start.items() if t.ndim == 2 and t.is_floating_point()},
        {
            name: density_map(mask)
            for name, mask in split_masks(best)[1].items()
            if mask.ndim == 2 and mask.numel()
        },
    )


def _tensors(path: Path) -> dict[str, Tensor]:
    """What a file holds, by name; nothing where it is not there, or damaged."""
    try:
        return dict(sorted(atomic.read_tensors(path)[0].items()))
    except HyperpruneError:
        return {}
