"""Lyapunov spectra: dense and candidates, by layer, over epochs."""

from __future__ import annotations

from itertools import islice

import plotly.graph_objects as go

from hyperprune.figures.curves import distances, learning_curves
from hyperprune.figures.style import INK, PALETTE, blank, brief, label, panels, place
from hyperprune.figures.view import RunView, Source, look
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.training.outcome import DENSE

EPOCHS_SHOWN = 8


def spectra(run: Source, epoch: int | None = None) -> go.Figure:
    """Lyapunov exponents by rank, a panel a layer: dense in ink, winner and finalists in colour.

    After the last epoch of each, unless an epoch is said. Exponents near 0 are slow memories; far
    below it, what is forgotten at once. The LS distance sums the gaps between two lines.
    """
    view = look(run)
    found = {
        name: spectrum
        for name in (DENSE, *view.leaders)
        if (spectrum := _at(view, name, epoch)) is not None
    }
    layers = max((len(spectrum.by_layer()) for spectrum in found.values()), default=0)
    if not layers:
        return blank("rank", "exponent")
    columns = min(2, layers)
    figure = panels([f"layer {layer}" for layer in range(layers)], columns, 360)
    chosen = view.colours
    for name, spectrum in found.items():
        for layer, exponents in enumerate(spectrum.by_layer()):
            figure.add_scatter(
                x=list(range(1, len(exponents) + 1)),
                y=brief(exponents.tolist()),
                name=label(name),
                legendgroup=name,
                showlegend=layer == 0,
                mode="lines",
                line={"color": chosen[name], "width": 2},
                **place(layer, columns),
            )
    figure.update_xaxes(title="rank")
    figure.update_yaxes(title=f"exponent, {_unit(found)} per step", col=1)
    return figure


def spectra_over_epochs(run: Source, name: str | None = None) -> go.Figure:
    """How one network's spectrum changes as it trains, a line an epoch, from faint to full.

    The best candidate's unless a name is said (`dense` is one); a panel a layer. Where the lines
    still move, a distance measured now says little about the end.
    """
    view = look(run)
    chosen = name or next(iter(view.leaders), DENSE)
    outcome = view.outcomes.get(chosen)
    epochs = [record.epoch for record in outcome.epochs] if outcome else []
    step = max(1, -(-len(epochs) // EPOCHS_SHOWN))
    kept = sorted({*islice(epochs, 0, None, step), *epochs[-1:]})
    found = {e: spectrum for e in kept if (spectrum := view.spectrum(chosen, e)) is not None}
    layers = max((len(spectrum.by_layer()) for spectrum in found.values()), default=0)
    if not layers:
        return blank("rank", "exponent")
    shades = [0.25 + 0.75 * i / len(found) for i in range(1, len(found) + 1)]
    columns = min(2, layers)
    figure = panels([f"{chosen}, layer {layer}" for layer in range(layers)], columns, 360)
    for shade, (at, spectrum) in zip(shades, found.items(), strict=True):
        for layer, exponents in enumerate(spectrum.by_layer()):
            figure.add_scatter(
                x=list(range(1, len(exponents) + 1)),
                y=brief(exponents.tolist()),
                name=f"epoch {at}",
                legendgroup=str(at),
                showlegend=layer == 0,
                mode="lines",
                line={"color": PALETTE[0], "width": 1.5},
                opacity=shade,
                **place(layer, columns),
            )
    figure.update_xaxes(title="rank")
    figure.update_yaxes(title=f"exponent, {_unit(found)} per step", col=1)
    return figure


def paper(run: Source) -> go.Figure:
    """The argument of the method in three panels: spectra, their distances, and the metric.

    A: exponents of the dense network and of the best candidates, all layers together. B: LS distance
    over epochs. C: the metric on validation over epochs. The method holds where the order of the lines
    in B, early, is that in C, late (after Zheng & Shlizerman, arXiv 2506.07975).
    """
    view = look(run)
    figure = panels(["A  spectra", "B  LS distance", f"C  validation {view.metric.words}"], 3, 380)
    chosen = view.colours
    for name in (DENSE, *view.leaders):
        spectrum = _at(view, name, None)
        if spectrum is not None:
            values = brief(spectrum.sorted().tolist())
            figure.add_scatter(
                x=list(range(1, len(values) + 1)),
                y=values,
                name=label(name),
                legendgroup=name,
                mode="lines",
                line={"color": chosen[name], "width": 2},
                **place(0, 3),
            )
    compared = distances(view)
    if not (figure.data or compared.data):
        return blank("rank", "exponent")
    for number, panel in ((1, compared), (2, learning_curves(view))):
        for trace in panel.data:
            trace.update(showlegend=False, legendgroup=trace.name)
            figure.add_trace(trace, **place(number, 3))
    figure.update_xaxes(title="rank", col=1)
    figure.update_xaxes(title="epoch", col=2)
    figure.update_xaxes(title="epoch", col=3)
    figure.update_yaxes(type=view.scale, col=3)
    if view.now.target is not None:
        figure.add_hline(
            view.now.target, line={"dash": "dot", "color": INK, "width": 1}, **place(2, 3)
        )
    return figure


def _at(view: RunView, name: str, epoch: int | None) -> LyapunovSpectrum | None:
    """A spectrum after an epoch, or the last that can be read."""
    outcome = view.outcomes.get(name)
    known = [record.epoch for record in outcome.epochs] if outcome else []
    wanted = [epoch] if epoch is not None else reversed(known)
    return next((s for e in wanted if (s := view.spectrum(name, e)) is not None), None)


def _unit(found: dict[str, LyapunovSpectrum] | dict[int, LyapunovSpectrum]) -> str:
    protocols = {spectrum.protocol for spectrum in found.values()}
    return "bits" if protocols == {"published"} else "nats"
