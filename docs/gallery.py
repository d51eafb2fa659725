"""Fills docs/gallery.md with figures of the recorded run while the site is built."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARK = "<!-- gallery -->"


def gallery() -> Iterator[str]:
    """Each figure with its title, caption and the call that draws it, as Markdown; then the scripts."""
    from hyperprune import figures
    from hyperprune.figures.style import DARK
    from hyperprune.report import page

    view = figures.look(HERE / "recorded" / "quickstart")
    for entry in figures.GALLERY:
        found = page.chart(entry.draw(view))
        if found is None:
            continue
        yield f"## {entry.title}\n\n`figures.{entry.name}(run)`\n\n{entry.caption}\n"
        yield (
            f'```{{raw}} html\n<div style="overflow-x: auto"><div class="plot" id="{entry.name}" '
            f'style="{found.style}"></div>\n<script type="application/json">{found.json}</script>'
            "</div>\n```\n"
        )
    script = (Path(page.__file__).parent / "page.js").read_text(encoding="utf-8")
    yield (
        '```{raw} html\n<script type="application/json" id="dark-colours">'
        f'{json.dumps(DARK)}</script>\n<script type="text/plain" id="plotly">{page.plotly()}</script>\n'
        f"<script>{script}</script>\n```\n"
    )


def fill(app: object, name: str, source: list[str]) -> None:
    """Sphinx's `source-read`: put the figures where the page asks for them."""
    if name == "gallery":
        source[0] = source[0].replace(MARK, "\n".join(gallery()))
