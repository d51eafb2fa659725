"""What tables are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from hyperprune.ui.text import (
    safe,
)

if TYPE_CHECKING:
    pass


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Two columns: what, and how much."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value) if isinstance(value, str) else value)
    return table


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table with a rule under its heads; columns named in `right` hold numbers."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for name in columns:
        count = name in right  # what is a number stays on its line, or is cut with a mark
        justify: JustifyMethod = "right" if count else "left"
        table.add_column(
            Text(safe(name), no_wrap=True),
            justify=justify,
            no_wrap=count,
            overflow="ellipsis" if count else "fold",
        )
    return table
