"""Trainings over epochs: the metric, LS distance, and size against quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import plotly.graph_objects as go

from hyperprune.figures.style import DENSE_COLOUR, PALETTE, QUIET, blank, brief, crowd, label
from hyperprune.figures.view import MANY, RunView, Source, look
from hyperprune.judgement.histories import History
from hyperprune.training.outcome import DENSE


def learning_curves(run: Source) -> go.Figure:
    """The metric on validation after each epoch; perplexity on a logarithmic scale.

    The dotted line is the dense network's best: the target. A cross ends the line of a candidate
    that was eliminated; it was never trained further, so nothing says where it would have ended.
    """
    view = look(run)
    figure = blank("epoch", f"validation {view.metric.words}")
    figure.update_yaxes(type=view.scale)
    if view.now.target is not None:
        figure.add_hline(view.now.target, line={"dash": "dot", "color": DENSE_COLOUR, "width": 1})
    _lines(figure, view, list(view.histories.values()), lambda item: item.value)
    ended = [item for name, item in view.histories.items() if view.states.get(name) == "eliminated"]
    figure.add_scatter(
        x=[item.epochs[-1] for item in ended],
        y=brief(item.value[-1] for item in ended),
        text=[label(item.name) for item in ended],
        name="eliminated",
        mode="markers",
        marker={"symbol": "x-thin", "size": 8, "line": {"width": 1.5, "color": QUIET}},
        hovertemplate="%{text} eliminated<extra></extra>",
        showlegend=bool(ended),
    )
    return figure


def distances(run: Source) -> go.Figure:
    """LS distance between each candidate and the dense reference after each epoch.

    Bars are standard errors over sequences. Where bars of two candidates overlap, the distance does
    not tell them apart.
    """
    view = look(run)
    figure = blank("epoch", "LS distance to the dense reference")
    sparse = [item for item in view.histories.values() if set(item.distance) != {None}]
    _lines(figure, view, sparse, lambda item: item.distance, errors=True)
    return figure


def lost_directions(run: Source) -> go.Figure:
    """Exponents below the resolution after each epoch, mean over sequences, the dense network's in ink.

    Their number says something, their values nothing, so a distance holds them all at the
    resolution. Nothing is drawn where none is lost.
    """
    view = look(run)
    figure = blank("epoch", "lost directions")
    known = [item for item in view.histories.values() if any(item.lost)]
    _lines(figure, view, known, lambda item: item.lost)
    return figure


def frontier(run: Source) -> go.Figure:
    """Active weights against the best value of the metric, a point a candidate, the dense network in ink.

    To the left are fewer weights; the line joins those that no other beats in both. What is at least as
    good as the dotted line meets the dense target. Candidates that went out early were still getting better.
    Within a budget all have as many weights, and sparsity is drawn in their place: to the right are larger
    networks.
    """
    view = look(run)
    alike = view.recipe.prune.budgeted
    figure = blank("", f"best validation {view.metric.words}")
    chosen = view.colours
    points, masked = [], 0
    for item in view.now.candidates:
        tensors = list(view.tensors(item.name).values())
        if tensors and item.valid_value is not None:
            active, size = (
                sum(getattr(t, what) for t in tensors[-1]) for what in ("active", "size")
            )
            masked = max(masked, size)
            points.append((1 - active / size if alike else active, item.valid_value, item.name))
    shown = "sparsity %{x:.3f}" if alike else "%{x:,} weights"
    figure.add_scatter(
        x=[place for place, _, _ in points],
        y=brief(value for _, value, _ in points),
        text=[label(name) for _, _, name in points],
        mode="markers",
        marker={"size": 9, "color": [chosen[name] for _, _, name in points]},
        hovertemplate=f"%{{text}}: {shown}, %{{y:.4g}}<extra></extra>",
        showlegend=False,
    )
    order = view.metric.order
    best = [
        (place, value)
        for place, value, _ in sorted(points)
        if not alike and not any(a <= place and order(v) < order(value) for a, v, _ in points)
    ]
    figure.add_scatter(
        x=[place for place, _ in best],
        y=brief(value for _, value in best),
        mode="lines",
        line={"color": QUIET, "width": 1, "shape": "hv"},
        hoverinfo="skip",
        showlegend=False,
    )
    if view.now.target is not None and points:
        if DENSE in view.histories:  # else a target was given, and no network has it
            figure.add_scatter(
                x=[0 if alike else masked],
                y=brief([view.now.target]),
                name=DENSE,
                mode="markers",
                marker={"size": 11, "symbol": "diamond", "color": DENSE_COLOUR},
                hovertemplate=f"dense: {shown}, %{{y:.2f}}<extra></extra>",
            )
        dots = {"dash": "dot", "color": DENSE_COLOUR, "width": 1}
        figure.add_hline(view.now.target, line=dots)
    title = "sparsity, at as many weights" if alike else "active masked weights"
    figure.update_xaxes(title=title, rangemode="tozero")
    return figure


def winners(runs: Sequence[Source]) -> go.Figure:
    """The metric on validation of the winners of several runs, and of their dense references, dotted."""
    views = list(map(look, runs))
    names = dict.fromkeys(view.metric.words for view in views)
    figure = blank("epoch", f"validation {', '.join(names)}")
    figure.update_yaxes(type="log" if all(view.scale == "log" for view in views) else "linear")
    for number, view in enumerate(views):
        colour = PALETTE[number % len(PALETTE)]
        for name in (DENSE, *view.leaders[:1]):
            item = view.histories.get(name)
            if item is None:
                continue
            figure.add_scatter(
                x=list(item.epochs),
                y=brief(item.value),
                name=f"{label(view.run.folder.name)}: {label(name)}",
                mode="lines",
                line={"color": colour, "dash": "dot" if name == DENSE else "solid", "width": 2},
            )
    return figure


def _lines(
    figure: go.Figure,
    view: RunView,
    found: Sequence[History],
    values: Callable[[History], Sequence[float | None]],
    *,
    errors: bool = False,
) -> None:
    """One line a training; those in colour are drawn last, over the grey ones."""
    chosen = view.colours
    grey = [item for item in found if chosen[item.name] == QUIET]
    if len(grey) > MANY:
        crowd(figure, [(item.name, item.epochs, values(item)) for item in grey])
        grey = []
    coloured = [item for item in found if chosen[item.name] != QUIET]
    for item in (*grey, *sorted(coloured, key=lambda item: item.name in view.leaders[:1])):
        bars = {"type": "data", "array": brief(item.error), "thickness": 1, "width": 3}
        quiet = chosen[item.name] == QUIET
        figure.add_scatter(
            x=list(item.epochs),
            y=brief(values(item)),
            name=label(item.name),
            mode="lines+markers",
            line={"color": chosen[item.name], "width": 1 if quiet else 2},
            marker={"size": 4 if quiet else 5},
            error_y=bars if errors else None,
            showlegend=not quiet,
        )
