"""What the search knew early, against what came of it."""

from __future__ import annotations

import plotly.graph_objects as go

from hyperprune.figures.style import QUIET, RULE, blank, brief, label
from hyperprune.figures.view import MANY, Source, look
from hyperprune.training.outcome import DENSE


def early_signal(run: Source) -> go.Figure:
    """LS distance when candidates were first judged, against the last value of the metric known of each.

    Filled points trained on; hollow ones were eliminated there, so for them early and last are the
    same moment. A shaded strip as wide as the noise, the median distance between two halves of one
    model's own sequences, stands at the smallest distance: inside it the order is chance.
    """
    view = look(run)
    figure = blank(f"LS distance after epoch {view.first}", f"last validation {view.metric.words}")
    points = []
    for name, item in view.histories.items():
        if name == DENSE or view.first not in item.epochs:
            continue
        early = item.distance[item.epochs.index(view.first)]
        if early is not None:
            points.append((early, item.value[-1], name, item.epochs[-1]))
    noises = sorted(
        item.distance_noise for item in view.now.candidates if item.distance_noise is not None
    )
    if points and noises:
        low = min(early for early, *_ in points)
        noise = noises[len(noises) // 2]
        figure.add_vrect(low, low + noise, fillcolor=RULE, opacity=0.5, line_width=0, layer="below")
    chosen = view.colours
    few = len(points) <= MANY
    figure.add_scatter(
        x=brief(point[0] for point in points),
        y=brief(point[1] for point in points),
        text=[label(name) for _, _, name, _ in points],
        customdata=[[last] for *_, last in points],
        mode="markers+text" if few else "markers",
        textposition="top center",
        textfont={"size": 11},
        marker={
            "color": [chosen[name] for _, _, name, _ in points],
            "size": 10 if few else 6,
            "symbol": ["circle-open" if last == view.first else "circle" for *_, last in points],
            "line": {"width": 1.5, "color": [chosen.get(p[2], QUIET) for p in points]},
        },
        hovertemplate="%{text} after epoch %{customdata[0]}: %{y:.4g}<extra></extra>",
        showlegend=False,
    )
    return figure
