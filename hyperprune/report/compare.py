"""A comparison of runs as one HTML file, in the dress of a report."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.judgement.comparison import Comparison
from hyperprune.report.page import chart, fill
from hyperprune.report.words import meaning
from hyperprune.store import atomic
from hyperprune.ui.runs import result_rows


def write_comparison(found: Comparison, folders: Sequence[Path], target: Path) -> Path:
    """Write the page of a comparison; raises RunError."""
    try:
        from hyperprune.figures import winners
    except ImportError as error:
        raise RunError(f"a report needs {error.name}: pip install 'hyperprune[report]'") from error
    curves = chart(winners(folders))
    values = {
        "found": found,
        "results": result_rows(found),
        "charts": {"winners": curves} if curves else {},
        "caption": " ".join((inspect.getdoc(winners) or "").split()),
        "meaning": meaning,
    }
    atomic.write_text(target, fill("compare.html", f"{len(found.names)} runs compared", values))
    return target
