"""How figures look: colours, axes, lines. Names go through `label`: plotly reads markup in texts."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go

from hyperprune.training.outcome import DENSE
from hyperprune.ui.text import safe

# Okabe & Ito's colours, which colour-blind readers can tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, QUIET, RULE = "#1c2126", "#b8bec6", "#dde1e6"
DENSE_COLOUR = INK
SCALE = [[0.0, "#f2f4f7"], [0.5, "#56B4E9"], [1.0, "#003a66"]]
"""Of densities: from nothing to all."""

DARK = {
    INK: "#e6e9ed",
    QUIET: "#56606b",
    RULE: "#333b44",
    "#0072B2": "#4da3e0",
    "#D55E00": "#f2834a",
    "#009E73": "#2cc195",
    "#CC79A7": "#df97bd",
    "#f2f4f7": "#20272e",
    "#003a66": "#d7ecfb",
}
"""What a page with a dark ground shows in a colour's place."""

Line: TypeAlias = tuple[str, Sequence[int], Sequence[float | None]]
"""A line of a crowd: its name, its x and its y."""

_AXIS = {"showgrid": True, "gridcolor": RULE, "zeroline": False, "linecolor": RULE, "ticks": ""}
_TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(PALETTE),
        "xaxis": {**_AXIS, "automargin": True, "title": {"standoff": 6}},
        "yaxis": {**_AXIS, "automargin": True},
        "margin": {"l": 56, "r": 16, "t": 28, "b": 48},
        "legend": {"orientation": "h", "y": -0.25, "yanchor": "top", "font": {"size": 12}},
        "hoverlabel": {"align": "left"},
    }
)


def blank(x: str, y: str, height: int = 380) -> go.Figure:
    """A figure with titled axes and nothing in it yet."""
    figure = go.Figure(layout={"template": _TEMPLATE, "height": height})
    figure.update_layout(xaxis_title=x, yaxis_title=y)
    return figure


def panels(titles: Sequence[str], columns: int = 2, height: int = 340, **more: Any) -> go.Figure:
    """A figure of several panels, each under its title, of a line or more."""
    from plotly.subplots import make_subplots

    rows = max(1, math.ceil(len(titles) / columns))
    shown = ["<br>".join(map(label, title.split("\n"))) for title in titles]
    gap = {"vertical_spacing": min(0.28 / rows, 0.18), "horizontal_spacing": 0.24 / columns}
    figure = make_subplots(rows, columns, subplot_titles=shown, **(gap | more))
    figure.update_layout(template=_TEMPLATE, height=height * rows)
    figure.update_annotations(font_size=13)
    return figure


def place(number: int, columns: int) -> dict[str, int]:
    """Row and column of a panel, counted from 0."""
    return {"row": number // columns + 1, "col": number % columns + 1}


def label(text: object) -> str:
    """A name that plotly shows as it is."""
    return html.escape(safe(text, 60))


def colours(names: Iterable[str], bright: Iterable[str]) -> dict[str, str]:
    """A colour for every network: ink for the dense reference, grey for who is not to stand out."""
    chosen = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(bright)}
    return {DENSE: DENSE_COLOUR, **dict.fromkeys(names, QUIET), **chosen}


def crowd(figure: go.Figure, lines: Sequence[Line], hover: str = "%{text}: %{y:.4g}") -> None:
    """Many lines as one trace, with gaps between them: a page draws it a hundred times as fast.

    lines: the name that pointing at one shows, its x (counts, from 0 up) and its y.
    """
    x = np.asarray([value for _, xs, _ in lines for value in (*xs, *xs[-1:])])
    y = [math.nan if v is None else v for _, _, ys in lines for v in (*ys, math.nan)]
    figure.add_scatter(
        x=x.astype(np.min_scalar_type(x.max(initial=0))),  # arrays, which travel packed
        y=np.asarray(y, dtype=np.float32),
        text=np.repeat([label(name) for name, *_ in lines], [len(ys) + 1 for _, _, ys in lines]),
        name=f"{len(lines)} others",
        mode="lines",
        line={"color": QUIET, "width": 0.7},
        hovertemplate=hover + "<extra></extra>",
    )


def brief(values: Iterable[float | None], digits: int = 5) -> list[float | None]:
    """Numbers as a page needs them: a few digits, and nothing where there is none."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
        for value in values
    ]
