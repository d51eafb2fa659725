"""A study on a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hyperprune.judgement.sheets import share, sheet_of, spread
from hyperprune.judgement.study import ArmFigures
from hyperprune.terms.metric import Metric
from hyperprune.terms.sheet import Sheet
from hyperprune.ui.tables import plain_table
from hyperprune.ui.text import safe

LEAST = 3
"""Columns that stay on any screen: the arm, its seeds, and the metric."""


class _Fitting:
    """A sheet with as many columns as the screen holds, from the left; what is left out is said."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(max_width=10_000)
        count = len(self.sheet.heads)
        while (
            count > LEAST
            and Measurement.get(console, unbounded, self._table(count)).maximum > options.max_width
        ):
            count -= 1
        yield self._table(count)
        if left := self.sheet.heads[count:]:
            yield Text(f"no room for {', '.join(left)}; --format has all", style="dim")

    def _table(self, count: int) -> Table:
        heads = self.sheet.heads[:count]
        table = plain_table(*heads, right=heads[1:])
        for row in self.sheet.rows:
            table.add_row(*(Text(safe(cell)) for cell in row[:count]))
        return table


def study_view(figures: Sequence[ArmFigures], metric: Metric) -> RenderableType:
    """The table of a study on a screen, and where each arm has its weights."""
    sheet = sheet_of(figures, metric)
    counts = {item.valid.count for item in figures}
    several = max(counts, default=0) > 1
    note = (
        "Mean ± standard deviation over seeds. Differences: mean over common seeds (95 % interval by "
        "Student's t)."
        if several
        else "One seed: there is no spread and no interval to tell."
    )
    parts: list[RenderableType] = [_Fitting(sheet), Text(note, style="dim"), *_causes(figures)]
    names = dict.fromkeys(name for item in figures for name in item.densities)
    if names:
        layers = plain_table(
            "density by tensor", *(item.name for item in figures if item.densities)
        )
        for name in names:
            cells = [
                spread(item.densities[name], share) if name in item.densities else "–"
                for item in figures
                if item.densities
            ]
            layers.add_row(Text(safe(name)), *map(Text, cells))
        parts += [Text(""), layers]
    return Group(*parts)


def _causes(figures: Sequence[ArmFigures]) -> Iterator[RenderableType]:
    for item in figures:
        if item.cause:
            yield Text(f"{safe(item.name)}: {item.failed} failed: {safe(item.cause, 400)}", "red")
