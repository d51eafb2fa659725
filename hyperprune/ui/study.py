"""A study as tables: on a screen, for a paper, for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from hyperprune.judgement.statistics import Summary
from hyperprune.judgement.study import ArmFigures
from hyperprune.ui.sheet import Sheet
from hyperprune.ui.tables import plain_table
from hyperprune.ui.text import duration, safe

NUMBERS = (
    "valid",
    "test",
    "valid_difference",
    "test_difference",
    "density",
    "exploration",
    "seconds",
)
"""What a program is given of each arm, every one as count, mean, standard deviation and interval."""


def sheet_of(figures: Sequence[ArmFigures]) -> Sheet:
    """A row an arm: mean ± standard deviation over seeds; differences with their 95 % interval."""
    against = figures[0].against
    heads = (
        "arm", "seeds", "validation", "test", f"validation − {against}", f"test − {against}",
        "density", "explored", "time",
    )  # fmt: skip
    return Sheet(heads, [tuple(_cells(item)) for item in figures])


def _cells(item: ArmFigures) -> Iterator[str]:
    yield item.name
    yield f"{item.valid.count}" + (f" ({item.failed} failed)" if item.failed else "")
    yield spread(item.valid, 2)
    yield spread(item.test, 2)
    yield interval(item.valid_difference, 2)
    yield interval(item.test_difference, 2)
    yield spread(item.density, 3) if item.density.std else mean(item.density, 3)
    yield spread(item.exploration, 3)
    yield "–" if item.seconds.mean is None else duration(item.seconds.mean)


def mean(found: Summary, places: int) -> str:
    """A mean alone."""
    return "–" if found.mean is None else f"{found.mean:.{places}f}"


def spread(found: Summary, places: int) -> str:
    """Mean ± standard deviation; of one value the value."""
    if found.mean is None or found.std is None:
        return mean(found, places)
    return f"{found.mean:.{places}f} ± {found.std:.{places}f}"


def interval(found: Summary, places: int) -> str:
    """A difference with the ends of its interval; of one pair the difference alone."""
    if found.mean is None:
        return "–"
    ends = (
        ""
        if found.low is None
        else f" ({_signed(found.low, places)} … {_signed(found.high, places)})"
    )
    return _signed(found.mean, places) + ends


def _signed(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:+.{places}f}".replace("-", "−")


def study_view(figures: Sequence[ArmFigures]) -> RenderableType:
    """The table of a study on a screen, and where each arm has its weights."""
    sheet = sheet_of(figures)
    table = plain_table(*sheet.heads, right=sheet.heads[1:])
    for row in sheet.rows:
        table.add_row(*(Text(safe(cell)) for cell in row))
    counts = {item.valid.count for item in figures}
    several = max(counts, default=0) > 1
    note = (
        "Perplexities, densities and shares explored: mean ± standard deviation over seeds. Differences: "
        "mean over common seeds (95 % interval, Student's t)."
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
                spread(item.densities[name], 3) if name in item.densities else "–"
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


def rows_of(figures: Sequence[ArmFigures]) -> tuple[list[str], list[list[Any]]]:
    """Heads and rows of plain values: a column a statistic, named `valid_mean`, `test_std`, …"""
    names = dict.fromkeys(name for item in figures for name in item.densities)
    parts = ("count", "mean", "std", "low", "high")
    heads = ["arm", "against", "failed"]
    heads += [f"{what}_{part}" for what in NUMBERS for part in parts]
    heads += [f"density_mean:{name}" for name in names]
    rows = []
    for item in figures:
        row: list[Any] = [item.name, item.against, item.failed]
        row += [getattr(getattr(item, what), part) for what in NUMBERS for part in parts]
        row += [item.densities[name].mean if name in item.densities else None for name in names]
        rows.append(row)
    return heads, rows
