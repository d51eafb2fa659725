"""Lyapunov spectra on a terminal: a summary by layer, the exponents, and a plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hyperprune.ui.plot import Series, plot
from hyperprune.ui.tables import facts, plain_table
from hyperprune.ui.text import measured, number

if TYPE_CHECKING:
    from hyperprune.lyapunov import LyapunovSpectrum

COLOURS = ("blue", "red", "green", "magenta", "cyan", "yellow")
SHOWN = 12
"""Exponents of each layer in the table, evenly spaced by rank, unless all are asked for."""


def spectrum_view(
    spectrum: LyapunovSpectrum,
    width: int,
    *,
    reference: LyapunovSpectrum | None = None,
    every: bool = False,
) -> RenderableType:
    """Everything a person wants of a spectrum; with a reference, drawn beside it."""
    each = f"{spectrum.sequences} sequences × {spectrum.steps} steps after {spectrum.burn_in}"
    unit = "bits" if spectrum.protocol == "published" else "nats"
    about = f"{spectrum.state_kind} state, protocol {spectrum.protocol}, {each}; {unit} per step"
    floored = (
        Text(f"{spectrum.floored} entries of R raised to {spectrum.floor:.3g}", "yellow")
        if spectrum.floored
        else Text("none")
    )
    return Group(
        facts(
            [
                ("measured", about),
                ("largest exponent", number(spectrum.largest)),
                ("sum", number(spectrum.sum)),
                ("Kaplan–Yorke dimension", number(spectrum.kaplan_yorke)),
                ("floored", floored),
            ]
        ),
        exponent_table(spectrum, every=every),
        *plots(spectrum, reference, width),
    )


def exponent_table(spectrum: LyapunovSpectrum, *, every: bool = False) -> Table:
    """Exponents by layer and rank: standard error over sequences, drift between halves."""
    table = plain_table("layer", "rank", "exponent", "drift", right=("rank", "exponent", "drift"))
    for layer in sorted(set(spectrum.layers.tolist())):
        chosen = spectrum.layers == layer
        exponents, order = spectrum.exponents[chosen].sort(descending=True)
        errors = spectrum.standard_error[chosen][order].tolist()
        drifts = spectrum.drift[chosen][order].tolist()
        values = exponents.tolist()
        for rank in ranks(len(values), len(values) if every else SHOWN):
            table.add_row(
                str(layer),
                f"{rank + 1}/{len(values)}",
                measured(values[rank], errors[rank]),
                number(drifts[rank], 2),
            )
        table.add_section()
    return table


def ranks(count: int, shown: int) -> list[int]:
    """Up to `shown` of `count` indices, evenly spaced, first and last among them."""
    if count <= shown:
        return list(range(count))
    return [round(i * (count - 1) / (shown - 1)) for i in range(shown)]


def plots(
    spectrum: LyapunovSpectrum, reference: LyapunovSpectrum | None, width: int, height: int = 12
) -> list[RenderableType]:
    """The exponents of each layer over their rank, the reference's beside them."""
    if reference is not None:
        mine, theirs = spectrum.by_layer(), reference.by_layer()
        drawn: list[RenderableType] = []
        for layer, (own, dense) in enumerate(zip(mine, theirs, strict=False)):
            series = [
                Series("dense", dense.tolist(), COLOURS[0]),
                Series("candidate", own.tolist(), COLOURS[1]),
            ]
            drawn += [_legend(f"layer {layer}: exponent by rank", series)]
            drawn += [plot(series, min(width, 100), height), Text("")]
        return drawn
    series = [
        Series(f"layer {layer}", values.tolist(), COLOURS[layer % len(COLOURS)])
        for layer, values in enumerate(spectrum.by_layer())
    ]
    return [_legend("exponent by rank", series), plot(series, min(width, 100), height)]


def _legend(title: str, series: list[Series]) -> Text:
    text = Text(title)
    for item in series:
        text.append("  ● ", style=item.style)
        text.append(item.name)
    return text


def as_json(spectrum: LyapunovSpectrum) -> dict[str, Any]:
    """A spectrum as plain data; a standard error that is not known is null."""
    errors = [None if math.isnan(error) else error for error in spectrum.standard_error.tolist()]
    return {
        "exponents": spectrum.exponents.tolist(),
        "standard_error": errors,
        "drift": spectrum.drift.tolist(),
        "layers": spectrum.layers.tolist(),
        "unit": "bits per step" if spectrum.protocol == "published" else "nats per step",
        "state": spectrum.state_kind,
        "protocol": spectrum.protocol,
        "sequences": spectrum.sequences,
        "steps": spectrum.steps,
        "burn_in": spectrum.burn_in,
        "floored": spectrum.floored,
        "floor": spectrum.floor,
        "largest": spectrum.largest,
        "sum": spectrum.sum,
        "kaplan_yorke": spectrum.kaplan_yorke,
    }
