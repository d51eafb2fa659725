"""A study as a table for people, for a paper and for a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from hyperprune.judgement.statistics import Summary
from hyperprune.judgement.study import ArmFigures
from hyperprune.terms.duration import duration
from hyperprune.terms.metric import Metric
from hyperprune.terms.sheet import Sheet

Text: TypeAlias = Callable[[float | None], str]
"""How a value is told, `–` for none: `Metric.text`, or `share`."""
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


def share(value: float | None) -> str:
    """A share of 1 in three places; `–` for none."""
    return "–" if value is None else f"{value:.3f}"


def sheet_of(figures: Sequence[ArmFigures], metric: Metric) -> Sheet:
    """A row an arm: mean ± standard deviation over seeds; differences with their 95 % interval."""
    against = figures[0].against
    heads = (
        "arm", "seeds", "validation", "test", f"validation − {against}", f"test − {against}",
        "density", "explored", "time",
    )  # fmt: skip
    return Sheet(heads, [tuple(_cells(item, metric.text)) for item in figures])


def _cells(item: ArmFigures, text: Text) -> Iterator[str]:
    yield item.name
    yield f"{item.valid.count}" + (f" ({item.failed} failed)" if item.failed else "")
    yield spread(item.valid, text)
    yield spread(item.test, text)
    yield interval(item.valid_difference, text)
    yield interval(item.test_difference, text)
    yield spread(item.density, share) if item.density.std else share(item.density.mean)
    yield spread(item.exploration, share)
    yield duration(item.seconds.mean)


def spread(found: Summary, text: Text) -> str:
    """Mean ± standard deviation; of one value the value."""
    said = text(found.mean)
    return said if found.std is None else f"{said} ± {text(found.std)}"


def interval(found: Summary, text: Text) -> str:
    """A difference with the ends of its interval; of one pair the difference alone."""
    if found.mean is None:
        return text(None)
    said = _signed(found.mean, text)
    if found.low is None or found.high is None:
        return said
    return f"{said} ({_signed(found.low, text)} … {_signed(found.high, text)})"


def _signed(value: float, text: Text) -> str:
    return f"{'−' if value < 0 else '+'}{text(abs(value)).strip(' +')}"


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
