"""The space that was searched: where candidates lie in it, and which settings mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from hyperprune.figures.importance import Importance, importances
from hyperprune.figures.style import PALETTE, QUIET, Line, blank, brief, crowd, label, panels, place
from hyperprune.figures.view import MANY, RunView, Source, look
from hyperprune.judgement.result import CandidateResult
from hyperprune.training.outcome import DENSE
from hyperprune.ui.text import setting, short_names

MOST = 300
"""Candidates of which parallel coordinates draw lines; the best of them."""


def parallel_coordinates(run: Source) -> go.Figure:
    """Each candidate as a line through its settings, one axis a setting; the best stand out.

    The last axis is the best value known of the metric, the best on top. Where all coloured lines pass
    through one value, the search agreed on it.
    """
    view = look(run)
    known = _known(view)[:MOST]
    names = _names(known)
    figure = blank("", "", 420)
    axes = {path: _scale([item.configuration.get(path) for item in known]) for path in names}
    losses = [view.metric.order(item.valid_value) for item in known]
    low, high = min(losses, default=0.0), max(losses, default=1.0)
    places = list(range(len(names) + 1))
    lines: list[Line] = []
    for item, loss in zip(known, losses, strict=True):
        heights = [axes[path][_key(item.configuration.get(path))] for path in names]
        last = 1 - (loss - low) / (high - low or 1.0)
        lines.append(
            (f"{item.name}: {view.metric.text(item.valid_value)}", places, [*heights, last])
        )
    if len(lines) > MANY:
        crowd(figure, lines[3:], "%{text}")
        lines = lines[:3]
    for index in reversed(range(len(lines))):
        name, _, course = lines[index]
        bright = index < 3
        figure.add_scatter(
            x=places,
            y=brief(course),
            name=label(name),
            mode="lines+markers",
            line={"color": PALETTE[index] if bright else QUIET, "width": 2.5 if bright else 0.8},
            marker={"size": 6 if bright else 3},
            showlegend=bright,
            hovertemplate=label(name) + "<extra></extra>",
        )
    ticks = [*(label(name) for name in names.values()), view.metric.words]
    figure.update_xaxes(tickvals=list(range(len(ticks))), ticktext=ticks, showgrid=True)
    figure.update_yaxes(visible=False, range=[-0.08, 1.08])
    figure.update_layout(meta={"columns": (len(ticks) + 1) // 2})  # room for the words on its axes
    for number, scale in enumerate(axes.values()):
        shown = list(scale.items())
        for key, height in shown if len(shown) <= 6 else (shown[0], shown[-1]):
            figure.add_annotation(
                x=number, y=height, text=label(key), showarrow=False, xshift=6, xanchor="left",
                font={"size": 11},
            )  # fmt: skip
    return figure


def slices(run: Source) -> go.Figure:
    """The metric after the first judged epoch, over each setting by itself.

    All candidates have trained as long there, so the comparison is fair. Spread within one value is
    what the other settings do.
    """
    view = look(run)
    points = _early(view)
    names = _names([item for item, _ in points])
    if not names:
        return blank("setting", f"validation {view.metric.words}")
    columns = min(3, len(names))
    figure = panels(list(names.values()), columns, 280)
    for number, path in enumerate(names):
        values = [item.configuration.get(path) for item, _ in points]
        figure.add_scatter(
            x=values if _numeric(values) else [label(_key(value)) for value in values],
            y=brief(loss for _, loss in points),
            text=[label(item.name) for item, _ in points],
            mode="markers",
            marker={"color": PALETTE[0], "size": 7, "opacity": 0.7},
            hovertemplate="%{text}: %{y:.2f}<extra></extra>",
            showlegend=False,
            **place(number, columns),
        )
    figure.update_yaxes(title=f"{view.metric.words}, epoch {view.first}", col=1)
    return figure


def importance(run: Source) -> go.Figure:
    """How much of the loss each setting explains, by itself and with the others (total effect).

    Total Sobol indices, after the first judged epoch, of forests fitted to resampled candidates; bars are the
    spread over resamplings (80 %). A bar that reaches 0, or about the length of another, tells nothing.
    """
    view = look(run)
    points = _early(view)
    names = _names([item for item, _ in points])
    figure = blank("share of the variance of the loss", "", 120 + 40 * max(1, len(names)))
    columns = [[item.configuration.get(path) for item, _ in points] for path in names]
    found = importances(
        columns, [view.metric.order(value) for _, value in points], seed=view.recipe.seed
    )
    if not found:
        return figure
    ordered: Sequence[tuple[str, Importance]] = sorted(
        zip(names.values(), found, strict=True), key=lambda pair: pair[1].middle
    )
    figure.add_bar(
        x=brief(item.middle for _, item in ordered),
        y=[label(name) for name, _ in ordered],
        orientation="h",
        marker={"color": PALETTE[0]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": brief(item.high - item.middle for _, item in ordered),
            "arrayminus": brief(item.middle - item.low for _, item in ordered),
            "color": QUIET,
        },
        showlegend=False,
    )
    figure.update_xaxes(rangemode="tozero")
    return figure


def _known(view: RunView) -> list[CandidateResult]:
    known = [item for item in view.now.candidates if item.valid_value is not None]
    return sorted(known, key=lambda item: (view.metric.order(item.valid_value), item.name))


def _early(view: RunView) -> list[tuple[CandidateResult, float]]:
    """Candidates with their value of the metric after the first judged epoch."""
    return [
        (view.candidates[name], item.value[item.epochs.index(view.first)])
        for name, item in view.histories.items()
        if name != DENSE and view.first in item.epochs and name in view.candidates
    ]


def _names(candidates: Sequence[CandidateResult]) -> dict[str, str]:
    """Settings that differ between candidates, by their short names."""
    names = short_names(path for item in candidates for path in item.configuration)
    return {
        path: name
        for path, name in names.items()
        if len({_key(item.configuration.get(path)) for item in candidates}) > 1
    }


def _key(value: Any) -> str:
    return "–" if value is None else setting(value)


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _scale(values: Sequence[Any]) -> Mapping[str, float]:
    """Where each value lies on an axis from 0 to 1: numbers by size, others evenly."""
    if values and _numeric(values):
        low, high = min(values), max(values)
        return {_key(v): (v - low) / ((high - low) or 1) for v in sorted(values)}
    keys = sorted({_key(value) for value in values})
    return {key: i / max(1, len(keys) - 1) for i, key in enumerate(keys)}
