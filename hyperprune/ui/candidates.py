"""Candidates as tables: on a screen, for a paper, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hyperprune.judgement.result import CandidateResult
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.terms.sheet import Sheet
from hyperprune.ui.tables import plain_table
from hyperprune.ui.text import four_places, measured, number, safe, setting, short_names

STYLES = {"winner": "bold green", "finalist": "green", "eliminated": "dim", "failed": "red"}


ORDER = ("winner", "finalist", "unfinished", "eliminated", "failed")


def candidate_rows(candidates: Sequence[CandidateResult]) -> tuple[list[str], list[list[Any]]]:
    """Candidates as heads and rows of plain values, a column a setting by its path, numbers in full."""
    paths = list(dict.fromkeys(path for item in candidates for path in item.configuration))
    known = [field.name for field in fields(CandidateResult) if field.name != "configuration"]
    rows = [
        [
            *(getattr(item, name) for name in known),
            *(
                setting(item.configuration[path], exact=True)
                if path in item.configuration
                else None
                for path in paths
            ),
        ]
        for item in candidates
    ]
    return [*known, *paths], rows


def candidate_sheet(candidates: Sequence[CandidateResult], metric: Metric = PERPLEXITY) -> Sheet:
    """Candidates, best first, as a table for a paper."""
    names = short_names(path for item in candidates for path in item.configuration)
    heads = ("candidate", *names.values(), "epochs", "LS distance", "validation", "state")
    return Sheet(
        heads,
        [
            (
                item.name,
                *(setting(item.configuration.get(path, "–")) for path in names),
                str(item.epochs),
                measured(item.distance, item.distance_error),
                four_places(item.valid_value),
                item.state,
            )
            for item in sorted(candidates, key=partial(_rank, metric))
        ],
    )


def candidate_table(
    candidates: Sequence[CandidateResult],
    target: float | None,
    width: int,
    metric: Metric = PERPLEXITY,
) -> Table:
    """Every candidate, best first: settings, epochs, LS distance, best of the metric, state.

    Where `width` has no room for a column a setting, they share one, and what is said elsewhere
    (errors, when the target was met) is left out; where it has none for all others, some are.
    """
    wide = _wide_candidates(candidates, metric)
    fits = Console(width=10_000).measure(wide).maximum <= width
    return wide if fits else _narrow_candidates(candidates, width, metric)


LEFT_OUT = {"distance": 67, "epochs": 57, "settings": 49}
"""Columns of a narrow table, and the window's width below which it goes without them."""


def _narrow_candidates(candidates: Sequence[CandidateResult], width: int, metric: Metric) -> Table:
    columns = ("candidate", "settings", "epochs", "distance", metric.words, "state")
    shown = [name for name in columns if width >= LEFT_OUT.get(name, 0)]
    if not compared(candidates):
        shown = [name for name in shown if name != "distance"]
    table = plain_table(*shown, right=("epochs", "distance", metric.words))
    names = short_names(path for item in candidates for path in item.configuration)
    for item in sorted(candidates, key=partial(_rank, metric)):
        values = [setting(item.configuration.get(path, "–")) for path in names]
        cells = {
            "candidate": Text(safe(item.name), no_wrap=True),
            "settings": Text(" · ".join(values)),
            "epochs": Text(str(item.epochs)),
            "distance": Text(measured(item.distance, None)),
            metric.words: _best(item, metric),
            "state": _state(item),
        }
        style = "dim" if item.state == "eliminated" else ""
        table.add_row(*(cells[name] for name in shown), style=style)
    table.columns[0].no_wrap = True
    return table


def _wide_candidates(candidates: Sequence[CandidateResult], metric: Metric) -> Table:
    names = short_names(path for item in candidates for path in item.configuration)
    spectral = ["LS distance", "lost"] if compared(candidates) else []
    numbers = ["epochs", *spectral, metric.words, "met target"]
    table = plain_table("candidate", *names.values(), *numbers, "state", right=numbers)
    for item in sorted(candidates, key=partial(_rank, metric)):
        table.add_row(
            Text(safe(item.name), no_wrap=True),
            *(Text(setting(item.configuration.get(path, "–"))) for path in names),
            str(item.epochs),
            *((_distance(item), number(item.lost)) if spectral else ()),
            _best(item, metric),
            _epoch(item.met_target),
            _state(item),
            style="dim" if item.state == "eliminated" else "",
        )
    return table


def compared(candidates: Sequence[CandidateResult]) -> bool:
    """Whether spectra say anything of candidates: none has a distance where none was measured."""
    return any(item.distance is not None for item in candidates)


def _distance(item: CandidateResult) -> Text:
    return Text(measured(item.distance, item.distance_error), no_wrap=True)


def _best(item: CandidateResult, metric: Metric) -> Text:
    met = item.met_target is not None
    return Text(metric.text(item.valid_value), "green" if met else "", no_wrap=True)


def _state(item: CandidateResult) -> Text:
    state = f"{item.state}: {safe(item.cause)}" if item.cause else item.state
    return Text(state, STYLES.get(item.state, ""), no_wrap=not item.cause)


def _rank(metric: Metric, item: CandidateResult) -> tuple[int, float, str]:
    return ORDER.index(item.state), metric.order(item.valid_value), item.name


def _epoch(epoch: int | None) -> str:
    return "–" if epoch is None else f"epoch {epoch}"
