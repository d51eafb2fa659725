"""Small plots in characters: series of numbers over their index, drawn in braille dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

# Unicode braille: the bit of each dot of a cell, by column and row from the top.
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
BLANK = 0x2800


@dataclass(frozen=True)
class Series:
    """Values to draw over their index, with a name and a colour."""

    name: str
    values: Sequence[float]
    style: str


def plot(series: Sequence[Series], width: int, height: int) -> Text:
    """Draw series over one pair of axes, `width` × `height` characters, labels included.

    Where two series share a character, the later one colours it.
    """
    values = [value for item in series for value in item.values]
    if not values:
        return Text("nothing to plot")
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.5, high + 0.5
    labels = [f"{high:.3g}", f"{low:.3g}"]
    margin = max(map(len, labels)) + 1
    columns, rows = max(8, width - margin - 1), max(3, height - 2)
    cells = [[BLANK] * columns for _ in range(rows)]
    styles = [[""] * columns for _ in range(rows)]
    for item in series:
        for x, value in _points(item.values, 2 * columns):
            y = round((high - value) / (high - low) * (4 * rows - 1))
            cells[y // 4][x // 2] |= DOTS[x % 2][y % 4]
            styles[y // 4][x // 2] = item.style
    text = Text(no_wrap=True)
    for row in range(rows):
        label = labels[0] if row == 0 else labels[1] if row == rows - 1 else ""
        text.append(f"{label:>{margin}}│", style="dim")
        for cell, style in zip(cells[row], styles[row], strict=True):
            text.append(chr(cell) if cell != BLANK else " ", style=style)
        text.append("\n")
    longest = max(len(item.values) for item in series)
    last = str(longest)
    text.append(f"{'':>{margin}}└{'─' * columns}\n", style="dim")
    text.append(f"{'':>{margin}} 1{last:>{columns - 1}}", style="dim")
    return text


def _points(values: Sequence[float], width: int) -> list[tuple[int, float]]:
    """Dots of a series: one a dot column, the values in between by the line through them."""
    if len(values) == 1:
        return [(0, values[0])]
    step = (len(values) - 1) / (width - 1)
    points = []
    for x in range(width):
        left = min(int(x * step), len(values) - 2)
        share = x * step - left
        points.append((x, values[left] * (1 - share) + values[left + 1] * share))
    return points


BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values as a row of bars, from the lowest of them to the highest."""
    shown = [value for value in values[-width:] if math.isfinite(value)]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in shown)
