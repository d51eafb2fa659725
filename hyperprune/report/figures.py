"""Plotly figures of a run. Names go through `label`: plotly reads markup in texts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from hyperprune.judgement.histories import History
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.training.outcome import DENSE
from hyperprune.ui.text import safe

# Okabe & Ito's colours, which colour-blind readers can tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DENSE_COLOUR, QUIET = "#222222", "#b8bec6"
SHOWN = ("winner", "finalist", "unfinished")


def label(text: str) -> str:
    """A name that plotly shows as it is."""
    return html.escape(safe(text, 60))


def colours(states: Mapping[str, str]) -> dict[str, str]:
    """A colour for every network: black for the dense reference, grey for who went out early."""
    bright = [name for name, state in states.items() if state in SHOWN]
    chosen = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(bright)}
    return {DENSE: DENSE_COLOUR, **dict.fromkeys(states, QUIET), **chosen}


def perplexity_figure(
    found: Sequence[History], states: Mapping[str, str], target: float | None
) -> go.Figure:
    """Validation perplexity over epochs, with the dense target."""
    figure = blank("epoch", "validation perplexity")
    figure.update_yaxes(type="log")
    if target is not None:
        figure.add_hline(target, line={"dash": "dot", "color": DENSE_COLOUR, "width": 1})
    _lines(figure, found, states, {item.name: item.perplexity for item in found})
    return figure


def distance_figure(found: Sequence[History], states: Mapping[str, str]) -> go.Figure:
    """LS distance to the dense reference over epochs, with standard errors."""
    figure = blank("epoch", "LS distance to the dense reference")
    sparse = [item for item in found if item.name != DENSE]
    _lines(figure, sparse, states, {item.name: item.distance for item in sparse}, errors=True)
    return figure


def spectrum_figure(
    layer: int, spectra: Mapping[str, Sequence[float]], states: Mapping[str, str]
) -> go.Figure:
    """Exponents of one layer over their rank, one line a network, the dense reference in black."""
    figure = blank("rank", f"exponent of layer {layer}, nats per step")
    for name, values in spectra.items():
        figure.add_scatter(
            x=list(range(1, len(values) + 1)),
            y=list(values),
            name=label(name),
            mode="lines",
            line={"color": colours(states)[name], "width": 2},
        )
    return figure


def lost_figure(found: Sequence[History], states: Mapping[str, str]) -> go.Figure:
    """Lost directions over epochs, the dense reference's in black; nothing where none is lost."""
    figure = blank("epoch", "lost directions")
    known = [item for item in found if any(item.lost)]
    _lines(figure, known, states, {item.name: item.lost for item in known})
    return figure


def signal_figure(found: Sequence[History], first: int, states: Mapping[str, str]) -> go.Figure:
    """Early LS distance against the perplexity last known: did the early signal tell?"""
    figure = blank(f"LS distance after epoch {first}", "last validation perplexity")
    for item in found:
        if item.name == DENSE or first not in item.epochs:
            continue
        early = item.distance[item.epochs.index(first)]
        if early is None:
            continue
        figure.add_scatter(
            x=[early],
            y=[item.perplexity[-1]],
            name=label(item.name),
            mode="markers+text",
            text=[label(item.name)],
            textposition="top center",
            marker={"color": colours(states)[item.name], "size": 9},
            hovertemplate=f"after epoch {item.epochs[-1]}: %{{y:.2f}}<extra></extra>",
        )
    figure.update_layout(showlegend=False)
    return figure


def layers_of(spectra: Mapping[str, LyapunovSpectrum]) -> list[dict[str, list[float]]]:
    """Sorted resolved exponents by layer, of each network that has the layer."""
    split = {name: spectrum.resolved().by_layer() for name, spectrum in spectra.items()}
    deepest = max((len(parts) for parts in split.values()), default=0)
    return [
        {name: parts[layer].tolist() for name, parts in split.items() if layer < len(parts)}
        for layer in range(deepest)
    ]


def _lines(
    figure: go.Figure,
    found: Sequence[History],
    states: Mapping[str, str],
    values: Mapping[str, Sequence[float | None]],
    *,
    errors: bool = False,
) -> None:
    """One line a training; those in colour are drawn last, over the grey ones."""
    chosen = colours(states)
    for item in sorted(found, key=lambda item: chosen[item.name] != QUIET):
        bars = {"type": "data", "array": list(item.error), "thickness": 1, "width": 3}
        figure.add_scatter(
            x=list(item.epochs),
            y=list(values[item.name]),
            name=label(item.name),
            mode="lines+markers",
            line={"color": chosen[item.name], "width": 1 if chosen[item.name] == QUIET else 2},
            marker={"size": 5},
            error_y=bars if errors else None,
        )


def blank(x: str, y: str, height: int = 380) -> go.Figure:
    """A figure with titled axes and nothing in it yet."""
    figure = go.Figure()
    figure.update_layout(
        template="simple_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        xaxis_title=x,
        yaxis_title=y,
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"font": {"size": 12}},
    )
    return figure
