"""The page that every report is: contents, figures that are drawn in view, dark and light.

It loads nothing. Plotly travels in it compressed and is inflated by the browser: the Cartesian part
of it, since the Python package ships only the whole (base64 of gzip: 0.66 MB against 1.96 MB).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperprune.errors import RunError
from hyperprune.plan.disk import show_bytes
from hyperprune.ui.text import configured, measured, number, safe, setting

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

HERE = Path(__file__).parent
PLOTLY = HERE.parent / "figures" / "plotly" / "plotly-cartesian.min.js.gz"
SIGNED = "· hyperprune</title>"
"""Stands in every page, and says that a command may write it anew."""
ROOM = 250
"""Pixels that a panel needs; a figure of several scrolls sideways in a narrow window."""


@dataclass(frozen=True)
class Chart:
    """A figure as a page holds it."""

    json: Markup
    style: Markup


def chart(figure: Any) -> Chart | None:
    """A Plotly figure for a page; None where there is nothing in it. No `<` leaves a JSON block."""
    from markupsafe import Markup

    values = (trace.z if trace.x is None else trace.x for trace in figure.data)
    if not any(value is not None and len(value) for value in values):
        return None
    across = len({axis.domain[0] for axis in figure.select_xaxes() if axis.domain})
    across = max(across, int((figure.layout.meta or {}).get("columns", 1)))
    width = f"; min-width: {ROOM * across}px" if across > 1 else ""
    return Chart(
        Markup(figure.to_json().replace("<", "\\u003c")),
        Markup(f"--height: {int(figure.layout.height or 380)}px{width}"),
    )


@cache
def plotly() -> str:
    """Plotly's Cartesian bundle, compressed, as text."""
    return base64.b64encode(PLOTLY.read_bytes()).decode("ascii")


@cache
def _environment(folder: Path) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader([folder, HERE]),
    )
    environment.filters |= {
        "safe_text": safe,
        "product": math.prod,
        "setting": setting,
        "settings": configured,
        "number": number,
        "bytes": show_bytes,
    }
    environment.globals["measured"] = measured
    return environment


def fill(
    template: str,
    title: str,
    values: Mapping[str, Any],
    *,
    folder: Path = HERE,
    connect: str = "",
) -> str:
    """A page from a template of a folder, or beside this file; all values are escaped. Raises RunError.

    connect: what else the page may ask, as a content security policy says it.
    """
    try:
        import jinja2  # noqa: F401
        from markupsafe import Markup
    except ImportError as error:
        raise RunError(f"a report needs {error.name}: pip install 'hyperprune[report]'") from error

    from hyperprune.figures.style import DARK

    return (
        _environment(folder)
        .get_template(template)
        .render(
            title=title,
            css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
            js=Markup((HERE / "page.js").read_text(encoding="utf-8")),
            dark=Markup(json.dumps(DARK)),
            plotly=Markup(plotly()),
            connect=connect,
            **values,
        )
    )
