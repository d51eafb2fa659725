"""Runs in a list, and side by side, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from hyperprune.judgement.comparison import Comparison
from hyperprune.judgement.glance import Glance
from hyperprune.plan.disk import show_bytes
from hyperprune.terms.duration import duration
from hyperprune.ui.candidates import STYLES
from hyperprune.ui.tables import facts, plain_table
from hyperprune.ui.text import configured, safe, setting

if TYPE_CHECKING:
    from hyperprune.judgement.standing import Standing

STATES = {"finished": "green", "running": "cyan", "stopped": "yellow", "damaged": "red"}


def runs_table(found: Sequence[Glance]) -> RenderableType:
    """Run folders, the newest first."""
    numbers = ("best", "dense", "candidates", "age", "size")
    table = plain_table("run", "title", "state", "winner", *numbers, right=numbers)
    for item in found:
        table.add_row(
            Text(safe(item.name)),
            Text(safe(item.title, 40)),
            Text(item.state, STATES[item.state]),
            Text(safe(item.winner or "–", 20)),
            item.metric.text(item.value),
            item.metric.text(item.dense_value),
            "–" if item.candidates is None else str(item.candidates),
            duration(item.age),
            show_bytes(item.size),
        )
    return table


def comparison_view(found: Comparison) -> RenderableType:
    """Where recipes differ, results, and candidates that two runs or more have tried."""
    names = [safe(name, 40) for name in found.names]
    differences = plain_table("recipes differ in", *names)
    for path, values in found.differences.items():
        shown = ["–" if value is None else setting(value, exact=True) for value in values]
        differences.add_row(Text(safe(path)), *map(Text, shown))
    if not found.differences:
        differences.add_row(Text("nowhere", "dim"), *[""] * len(names))
    results = plain_table("result", *names)
    for title, row in result_rows(found):
        results.add_row(title, *map(Text, row))
    matched = plain_table("the same candidate", *names)
    for match in found.matches:
        cells = [
            Text("–", "dim")
            if item is None
            else Text(
                f"{run.metric.text(item.valid_value)} at {item.epochs}, {item.state}",
                STYLES.get(item.state, ""),
            )
            for item, run in zip(match.candidates, found.runs, strict=True)
        ]
        matched.add_row(Text(configured(match.configuration)), *cells)
    if not found.matches:
        matched.add_row(Text("no configuration was tried twice", "dim"), *[""] * len(names))
    return Group(differences, Text(""), results, Text(""), matched)


def result_rows(found: Comparison) -> list[tuple[str, list[str]]]:
    """Results of runs as rows of words: what, and for each run how much."""
    rows: dict[str, list[str]] = {}
    for run in found.runs:
        result = run.result
        best = result.best if result else None
        known = {
            "state": "finished" if result else "not finished",
            "winner": safe(result.winner) if result else "–",
            "its settings": configured(best.configuration) if best else "–",
            "metric": run.metric.words,
            "validation": run.metric.text(best.valid_value if best else None),
            "dense": run.metric.text(run.target),
            "test": run.metric.text(result.test_value if result else None),
            "active weights": f"{result.active:,} of {result.masked:,}" if result else "–",
            "epochs searched": f"{result.search_epochs:,}" if result else "–",
        }
        for title, value in known.items():
            rows.setdefault(title, []).append(value)
    return list(rows.items())


def unfinished(standing: Standing) -> RenderableType:
    """How far a run is that has no result yet, or why there will be none."""
    over = standing.ended is not None
    given = standing.dense_from == "target"
    trained = f"{standing.dense_epochs}/{standing.epochs} epochs"
    source = f"given by dense.{standing.dense_from}" if standing.dense_from else trained
    return facts(
        [
            ("run", Text(safe(standing.title or "untitled"), "bold")),
            ("state", Text("over, without a result" if over else "not finished", "yellow")),
            *([] if given else [("dense reference", source)]),
            ("given target" if given else "dense target", standing.metric.text(standing.target)),
            ("cause", safe(standing.ended, 2000))
            if over
            else ("go on with", f"hyperprune resume {safe(standing.folder)}"),
            *([("what to do", "change the recipe, in a new run")] if over else []),
        ]
    )
