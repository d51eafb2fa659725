"""Lyapunov spectra on a terminal: a summary by layer, the exponents, and a plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hyperprune.lyapunov import compared, rests_on
from hyperprune.ui.plot import Series, plot
from hyperprune.ui.tables import facts, plain_table
from hyperprune.ui.text import lost_of, measured, number, rests_on_few

if TYPE_CHECKING:
    from torch import Tensor

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
    about = f"{spectrum.state_kind} state, protocol {spectrum.protocol}, {each}; {spectrum.unit}"
    sum_ = number(spectrum.sum) if not spectrum.lost else "below what is resolved"
    rows: list[tuple[str, RenderableType]] = [
        ("measured", about),
        ("largest exponent", number(spectrum.largest)),
        ("sum", sum_),
        ("Kaplan–Yorke dimension", number(spectrum.kaplan_yorke)),
        ("lost directions", lost_text(spectrum)),
    ]
    if reference is not None:
        rows += [("against the dense one", comparison_text(spectrum, reference))]
    return Group(
        facts(rows),
        exponent_table(spectrum, every=every),
        *plots(spectrum, reference, width),
    )


def lost_text(spectrum: LyapunovSpectrum) -> Text:
    """How many exponents lie below the resolution in each layer, mean over sequences."""
    if math.isinf(spectrum.resolution):
        return Text("not told apart: every exponent is taken at its word")
    if not spectrum.lost:
        return Text(f"none (resolution {number(spectrum.resolution)})")
    counts = spectrum.lost_directions.double().mean(0).tolist()
    layers = ", ".join(f"layer {layer} {number(count)}" for layer, count in enumerate(counts))
    said = lost_of(spectrum.lost, len(spectrum.exponents))
    return Text(f"{said} below {number(spectrum.resolution)}: {layers}", "yellow")


def comparison_text(spectrum: LyapunovSpectrum, reference: LyapunovSpectrum) -> Text:
    """What a distance between the two would rest on."""
    few = rests_on(*compared(spectrum, reference))
    size = len(spectrum.exponents)
    if few is None:
        return Text(f"{size} exponents against {len(reference.exponents)}")
    warning = rests_on_few(few, size)
    return (
        Text(warning, "yellow")
        if warning
        else Text(f"nine tenths of a distance's square rest on {few} of {size} exponents")
    )


def exponent_table(spectrum: LyapunovSpectrum, *, every: bool = False) -> Table:
    """Resolved exponents by layer and rank: standard error over sequences, drift between halves."""
    spectrum = spectrum.resolved()
    table = plain_table("layer", "rank", "exponent", "drift", right=("rank", "exponent", "drift"))
    for layer in sorted(set(spectrum.layers.tolist())):
        chosen = spectrum.layers == layer
        exponents, order = spectrum.exponents[chosen].sort(descending=True)
        lost = (exponents <= spectrum.resolution).tolist()
        errors = spectrum.standard_error[chosen][order].tolist()
        drifts = spectrum.drift[chosen][order].tolist()
        values = exponents.tolist()
        for rank in ranks(len(values), len(values) if every else SHOWN):
            table.add_row(
                str(layer),
                f"{rank + 1}/{len(values)}",
                "lost" if lost[rank] else measured(values[rank], errors[rank]),
                "" if lost[rank] else number(drifts[rank], 2),
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
    """The resolved exponents of each layer over their rank, the reference's beside them."""
    spectrum = spectrum.resolved()
    if reference is not None:
        spectrum, reference = compared(spectrum, reference)
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
    """A spectrum as plain data; null is what one sequence or one step does not tell."""

    def known(values: Tensor) -> list[float | None]:
        return [None if math.isnan(value) else value for value in values.tolist()]

    return {
        "exponents": spectrum.exponents.tolist(),
        "standard_error": known(spectrum.standard_error),
        "drift": known(spectrum.drift),
        "layers": spectrum.layers.tolist(),
        "unit": spectrum.unit,
        "state": spectrum.state_kind,
        "protocol": spectrum.protocol,
        "sequences": spectrum.sequences,
        "steps": spectrum.steps,
        "burn_in": spectrum.burn_in,
        "resolution": spectrum.resolution if math.isfinite(spectrum.resolution) else None,
        "lost": spectrum.lost_directions.tolist(),  # by sequence and layer
        "floored": spectrum.floored,
        "floor": spectrum.floor,
        "largest": spectrum.largest,
        "sum": spectrum.sum,
        "kaplan_yorke": spectrum.kaplan_yorke,
    }
