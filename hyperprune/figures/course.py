"""How the run went: how long each network trained, when, and where the time was spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import plotly.graph_objects as go

from hyperprune import events
from hyperprune.figures.style import PALETTE, blank, brief, label
from hyperprune.figures.view import RunView, Source, look
from hyperprune.terms.duration import duration
from hyperprune.ui.text import measured

TALLEST = 60
"""Candidates a chart has rows for; beyond, those that trained longest."""


def survival(run: Source) -> go.Figure:
    """How long each candidate trained, and the scores by which it went or stayed.

    Those that trained longest stand on top; dotted lines are the
    ends of rounds, numbered. Point at a bar for its LS
    distance and the metric when it was last judged.
    """
    view = look(run)
    chosen = view.colours
    ordered = sorted(
        view.now.candidates,
        key=lambda item: (-item.epochs, view.metric.order(item.valid_value), item.name),
    )[:TALLEST]
    figure = blank("epoch", "", 110 + 22 * max(3, len(ordered)))
    figure.add_bar(
        y=[label(item.name) for item in reversed(ordered)],
        x=[item.epochs for item in reversed(ordered)],
        orientation="h",
        marker={"color": [chosen[item.name] for item in reversed(ordered)]},
        customdata=[
            [
                item.state,
                measured(item.distance, item.distance_error),
                view.metric.text(item.valid_value),
            ]
            for item in reversed(ordered)
        ],
        hovertemplate="%{y}: %{customdata[0]}, LS distance %{customdata[1]}, "
        + label(view.metric.words)
        + " %{customdata[2]}<extra></extra>",
        showlegend=False,
    )
    ends = sorted({item.epochs for item in view.now.candidates if item.state == "eliminated"})
    for number, epoch in enumerate(ends, start=1):
        figure.add_vline(epoch, line={"dash": "dot", "width": 1})
        figure.add_annotation(
            x=epoch, y=1, yref="paper", yanchor="bottom", text=str(number), showarrow=False
        )
    figure.update_xaxes(rangemode="tozero")
    return figure


@dataclass(frozen=True)
class Stretch:
    """An epoch of a training in a lane: its worker's, or what may have been one."""

    candidate: str
    epoch: int
    lane: str
    start: float  # seconds since the sitting's first event
    end: float


def timeline(run: Source) -> go.Figure:
    """Who was busy with what: a row a worker, a block an epoch. Gaps are waiting.

    Drawn from the log, which notes the second in which an epoch ended; pauses between sittings are
    left out.
    """
    view = look(run)
    stretches = list(_stretches(view))
    lanes = sorted({item.lane for item in stretches}, key=_by_number)
    figure = blank("minutes", "", 130 + 50 * max(1, len(lanes)))
    chosen = view.colours
    for name in dict.fromkeys(item.candidate for item in stretches):
        mine = [item for item in stretches if item.candidate == name]
        figure.add_bar(
            y=[label(item.lane) for item in mine],
            x=brief((item.end - item.start) / 60 for item in mine),
            base=brief(item.start / 60 for item in mine),
            customdata=[[item.epoch, duration(item.end - item.start)] for item in mine],
            name=label(name),
            orientation="h",
            marker={"color": chosen.get(name), "line": {"width": 0.5, "color": "white"}},
            hovertemplate=label(name) + ", epoch %{customdata[0]}: %{customdata[1]}<extra></extra>",
            showlegend=view.states.get(name) in (None, "winner", "finalist"),
        )
    figure.update_layout(barmode="overlay", bargap=0.3)
    figure.update_yaxes(categoryorder="array", categoryarray=[label(lane) for lane in lanes])
    return figure


def time_spent(run: Source) -> go.Figure:
    """Where the time went: a bar a stage, of all sittings together."""
    view = look(run)
    spent: dict[str, float] = {}
    stage, since = "starting", None
    for item in view.log:
        if isinstance(item.event, events.RunStarted):
            stage, since = "starting", item.time
        if since is not None:
            spent[stage] = spent.get(stage, 0.0) + max(0.0, (item.time - since).total_seconds())
        since = item.time
        if isinstance(item.event, events.StageStarted):
            stage = item.event.stage
    kept = {name: seconds for name, seconds in spent.items() if seconds > 0}
    figure = blank("minutes", "", 120 + 36 * max(2, len(kept)))
    figure.add_bar(
        y=[label(name) for name in reversed(kept)],
        x=brief(seconds / 60 for seconds in reversed(kept.values())),
        text=[duration(seconds) for seconds in reversed(kept.values())],
        orientation="h",
        marker={"color": PALETTE[0]},
        hovertemplate="%{y}: %{text}<extra></extra>",
        showlegend=False,
    )
    return figure


def _stretches(view: RunView) -> Iterator[Stretch]:
    """Epochs in lanes: of the worker that trained them, where the log names it.

    Where it does not, as with a single worker, a lane that a network trained in stays its own.
    """
    workers = int(view.run.made().made_with.get("workers", 1))
    free: list[tuple[float, str]] = []  # by unnamed lane: since when, and whose it was
    working: dict[str, str] = {}  # candidate to worker
    since: dict[str, float] = {}  # worker to when it began what it does
    origin: datetime | None = None
    shift = last = 0.0
    for item in view.log:
        event = item.event
        if isinstance(event, events.RunStarted) or origin is None:
            origin, shift = item.time, last
            free = [(shift, "")] * max(1, workers)
            working.clear()
        now = shift + max(0.0, (item.time - origin).total_seconds())
        last = max(last, now)
        if isinstance(event, events.WorkerChanged) and event.state == "working":
            working[event.candidate] = event.worker
            since[event.worker] = now
        if not isinstance(event, events.EpochFinished):
            continue
        name = event.candidate
        if name in working:
            lane = f"worker {working[name]}"
            yield Stretch(name, event.epoch, lane, since[working[name]], now)
            since[working[name]] = now
            continue
        index = next((i for i, (_, who) in enumerate(free) if who == name), None)
        if index is None:
            index = min(range(len(free)), key=lambda i: (free[i][0], i))
        yield Stretch(name, event.epoch, f"worker {index + 1}", free[index][0], now)
        free[index] = (now, name)


def _by_number(lane: str) -> tuple[int, str]:
    """Workers in the order of their numbers: w2 before w10."""
    digits = "".join(letter for letter in lane if letter.isdigit())
    return int(digits or 0), lane
