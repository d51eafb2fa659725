"""`hyperprune doctor`: look over this installation, and one run folder if asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hyperprune.cli.output import show

COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}


def doctor(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run folder to look over.")
    ] = None,
) -> None:
    """Check the installation, and a run folder if given; say what to do about what is wrong."""
    from hyperprune.report.checks import check_installation, check_run
    from hyperprune.ui.tables import plain_table
    from hyperprune.ui.text import safe

    table = plain_table("check", "", "found")
    checks = [*check_installation(), *(check_run(folder) if folder else [])]
    for check in checks:
        table.add_row(
            Text(safe(check.name)), Text(check.state, COLOURS[check.state]), Text(safe(check.found))
        )
    show(table)
    if any(check.state == "wrong" for check in checks):
        raise typer.Exit(1)
