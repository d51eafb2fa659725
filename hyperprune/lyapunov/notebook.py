"""A spectrum as a picture in a notebook: plain SVG, so that nothing needs to be installed for it."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperprune.lyapunov.record import LyapunovSpectrum

WIDTH, HEIGHT, LEFT, TOP = 520, 220, 60, 10
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def as_html(spectrum: LyapunovSpectrum) -> str:
    """Resolved exponents over their rank, standard errors as bars, a colour a layer, and the figures."""
    drawn = spectrum.resolved()
    values, errors = drawn.exponents.tolist(), drawn.standard_error.nan_to_num(0.0).tolist()
    low = min(v - e for v, e in zip(values, errors, strict=True))
    high = max(max(v + e for v, e in zip(values, errors, strict=True)), 0.0)
    span = (high - low) or 1.0

    def x(rank: int) -> float:
        return LEFT + 10 + rank * (WIDTH - LEFT - 20) / max(1, len(values) - 1)

    def y(value: float) -> float:
        return float(TOP + (high - value) / span * HEIGHT)

    marks = []
    each = zip(values, errors, drawn.layers.tolist(), strict=True)
    for rank, (value, error, layer) in enumerate(each):
        colour = COLOURS[layer % len(COLOURS)]
        marks.append(
            f'<line x1="{x(rank):.1f}" x2="{x(rank):.1f}" y1="{y(value - error):.1f}" '
            f'y2="{y(value + error):.1f}" stroke="{colour}"/>'
            f'<circle cx="{x(rank):.1f}" cy="{y(value):.1f}" r="2.5" fill="{colour}">'
            f"<title>layer {layer}: {value:.5g} ± {error:.2g}</title></circle>"
        )
    axis = "".join(
        f'<text x="{LEFT - 4}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in (high, low)
    )
    zero = f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#999"/>'
    told = {
        "largest": f"{spectrum.largest:.5g}",
        "Kaplan–Yorke dimension": _measured(spectrum.kaplan_yorke, spectrum.kaplan_yorke_error),
        "entropy": _measured(spectrum.entropy, spectrum.entropy_error),
        "lost directions": f"{spectrum.lost:.4g} of {len(values)}",
    }
    rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in told.items())
    about = html.escape(
        f"{len(values)} Lyapunov exponents, {spectrum.unit}; {spectrum.sequences} sequences × "
        f"{spectrum.steps} steps"
    )
    return (
        f'<p>{about}</p><svg width="{WIDTH}" height="{HEIGHT + 2 * TOP}" font-size="11" '
        f'xmlns="http://www.w3.org/2000/svg">{zero}{axis}{"".join(marks)}</svg><table>{rows}</table>'
    )


def _measured(value: float, error: float) -> str:
    return f"{value:.5g}" if math.isnan(error) else f"{value:.5g} ± {error:.2g}"
