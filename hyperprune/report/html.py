"""A run as one HTML file: figures, tables and settings; it loads nothing from anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperprune.errors import HyperpruneError, RunError
from hyperprune.judgement.histories import histories
from hyperprune.judgement.standing import Standing, load_spectrum, open_run, recipe_of, standing
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.store import atomic
from hyperprune.store.run import Run
from hyperprune.training.outcome import DENSE
from hyperprune.ui.text import (
    configuration,
    measured,
    number,
    rests_on_few,
    safe,
    setting,
    short_names,
    two_places,
)

TEMPLATE = Path(__file__).parent / "report.html"


def write_report(folder: Path, target: Path) -> Path:
    """Write the report of a run, finished or not; raises RunError."""
    atomic.write_text(target, render(folder))
    return target


def render(folder: Path) -> str:
    """The report as HTML text. Everything that a run says is escaped."""
    try:
        import jinja2

        from hyperprune.report import figures
    except ImportError as error:
        raise RunError(f"a report needs {error.name}: pip install 'hyperprune[report]'") from error
    run = open_run(folder)
    now = standing(folder)
    states = {item.name: item.state for item in now.candidates}
    found = list(histories(run))
    first = recipe_of(run).rounds.first
    layers = figures.layers_of(_spectra(now))
    charts = {
        "perplexity": figures.perplexity_figure(found, states, now.target),
        "distance": figures.distance_figure(found, states),
        "lost": figures.lost_figure(found, states),
        "signal": figures.signal_figure(found, first, states),
        **{
            f"layer{n}": figures.spectrum_figure(n, layer, states) for n, layer in enumerate(layers)
        },
    }
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "safe_text": safe,
        "places": two_places,
        "product": math.prod,
        "setting": setting,
        "settings": configuration,
        "number": number,
    }
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    # Plotly's own output: it writes names as JSON in which < and > are escaped.
    drawn = {
        name: Markup(
            chart.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=CONFIG)
        )
        for name, chart in charts.items()
        if chart.data
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        now=now,
        result=now.result,
        charts=drawn,
        first=first,
        layers=[f"layer{n}" for n in range(len(layers))],
        names=short_names(path for item in now.candidates for path in item.configuration),
        measured=measured,
        rests_on_few=rests_on_few,
        topology=now.topology,
        recipe=(folder / "recipe.toml").read_text(encoding="utf-8"),
        made_with=_made_with(run),
        plotly=Markup(get_plotlyjs()),
    )


CONFIG = {"displaylogo": False, "responsive": True}


def _spectra(now: Standing) -> dict[str, LyapunovSpectrum]:
    """The dense reference's last spectrum, and those of winner and finalists after as many epochs."""
    chosen = [item for item in now.candidates if item.state in ("winner", "finalist")]
    found: dict[str, LyapunovSpectrum] = {}
    for name in (DENSE, *(item.name for item in sorted(chosen, key=lambda item: item.state))):
        try:
            found[name] = load_spectrum(Path(now.folder), name, None)[1]
        except HyperpruneError:
            continue  # not measured yet, or damaged: the rest is worth showing
    return found


def _made_with(run: Run) -> Mapping[str, Any]:
    made: Mapping[str, Any] = run.made().made_with
    return {key: value for key, value in made.items() if not isinstance(value, Mapping)}
