"""A run as one HTML file: verdict, figures, tables and settings; it loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperprune.errors import HyperpruneError, RunError
from hyperprune.judgement.profile import profile_of
from hyperprune.report.page import Chart, chart, fill
from hyperprune.report.words import meaning, noise, verdict
from hyperprune.runtime.garbage import collector_at_rest
from hyperprune.store import atomic, layout
from hyperprune.store.run import Run
from hyperprune.ui.text import rests_on_few, short_names

if TYPE_CHECKING:
    from hyperprune.export.measure import Measures
    from hyperprune.figures import Entry, RunView

FOLDED = ("slices", "spectra_over_epochs", "masks", "gates", "frontier", "timeline")
"""Figures that a page shows when asked."""


def write_report(folder: Path, target: Path) -> Path:
    """Write the report of a run, finished or not; raises RunError."""
    atomic.write_text(target, render(folder))
    return target


def render(folder: Path) -> str:
    """The report as HTML text. Everything that a run says is escaped."""
    try:
        from hyperprune.figures import look
    except ImportError as error:
        raise RunError(f"a report needs {error.name}: pip install 'hyperprune[report]'") from error
    with collector_at_rest():
        view = look(folder)
        return fill("report.html", view.now.title or "run", contents(view))


def contents(view: RunView) -> dict[str, Any]:
    """What the report's template asks for."""
    from hyperprune.figures import GALLERY

    charts, failed = drawn(view)
    sections: dict[str, list[Entry]] = {}
    for entry in GALLERY:
        if entry.name in charts:
            sections.setdefault(entry.section, []).append(entry)
    now = view.now
    return {
        "now": now,
        "result": now.result,
        "ranked": sorted(
            (item for item in now.candidates if item.valid_value is not None),
            key=lambda item: now.metric.order(item.valid_value),
        ),
        "given": bool(view.recipe.dense.given),
        "verdict": verdict(now.result, view.histories) if now.result else [],
        "noise": noise(now.result) if now.result else "",
        "charts": charts,
        "failed": failed,
        "sections": sections,
        "folded": [n for n in FOLDED if n != "frontier" or not view.recipe.about_size],
        "names": short_names(path for item in now.candidates for path in item.configuration),
        "meaning": meaning,
        "rests_on_few": rests_on_few,
        "topology": _sound(now.topology),
        "measures": _measures(view.run.folder),
        "profile": profile_of(view.run.folder),
        "recipe": _recipe(view.run.folder),
        "made_with": _made_with(view.run),
    }


def drawn(view: RunView) -> tuple[dict[str, Chart], list[str]]:
    """Every figure that has something in it, and the titles of those that could not be drawn."""
    from hyperprune.figures import GALLERY

    charts: dict[str, Chart] = {}
    failed: list[str] = []
    for entry in GALLERY:
        try:
            found = chart(entry.draw(view))
        except (HyperpruneError, ArithmeticError, LookupError, TypeError, ValueError):
            failed.append(entry.title)  # a damaged folder: the rest is worth showing
            continue
        if found is not None:
            charts[entry.name] = found
    return charts, failed


def _measures(folder: Path) -> Measures | None:
    """What forms of the winner cost, where that was measured."""
    from hyperprune.export.measure import kept

    try:
        return kept(folder)
    except HyperpruneError:  # damaged: the rest is worth showing
        return None


def _sound(topology: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A topology record that a table can be made of, or none."""
    try:
        for tensor in (topology or {"tensors": ()})["tensors"]:
            _ = [int(extent) for extent in tensor["shape"]], int(tensor["active"])
            _ = {gate: int(count) for gate, count in tensor["gates"].items()}
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    return topology


def _recipe(folder: Path) -> str:
    try:
        return (folder / layout.RECIPE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "recipe.toml is gone; run.json still holds what it said"


def _made_with(run: Run) -> Mapping[str, Any]:
    made: Mapping[str, Any] = run.made().made_with
    return {key: value for key, value in made.items() if not isinstance(value, Mapping)}
