"""A study on a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from hyperprune.judgement.sheets import share, sheet_of, spread
from hyperprune.judgement.study import ArmFigures
from hyperprune.terms.metric import Metric
from hyperprune.ui.tables import plain_table
from hyperprune.ui.text import safe


def study_view(figures: Sequence[ArmFigures], metric: Metric) -> RenderableType:
    """The table of a study on a screen, and where each arm has its weights."""
    sheet = sheet_of(figures, metric)
    table = plain_table(*sheet.heads, right=sheet.heads[1:])
    for row in sheet.rows:
        table.add_row(*(Text(safe(cell)) for cell in row))
    counts = {item.valid.count for item in figures}
    several = max(counts, default=0) > 1
    note = (
        f"{metric.many.capitalize()}, densities and shares explored: mean ± standard deviation over seeds. "
        "Differences: mean over common seeds (95 % interval, Student's t)."
        if several
        else "One seed: there is no spread and no interval to tell."
    )
    parts: list[RenderableType] = [table, Text(note, style="dim"), *_causes(figures)]
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
