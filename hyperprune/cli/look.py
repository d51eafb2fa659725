"""Commands that look at runs, wherever they were started: list, compare, watch, serve, as data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hyperprune.cli.output import Force, check_target, screen, show, show_json
from hyperprune.cli.results import RunFolder, show_study
from hyperprune.errors import RunError

Folder = Annotated[Path, typer.Argument(metavar="[FOLDER]", help="A folder of run folders.")]


def runs(
    folder: Folder = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List run folders with state, result, age and size, the newest first."""
    from hyperprune.judgement.glance import glances
    from hyperprune.ui.runs import runs_table

    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; name the folder that your runs lie in")
    found = glances(folder)
    if as_json:
        show_json([item.to_json() for item in found])
    elif found:
        show(runs_table(found))
    else:
        typer.echo(f"no run in {folder}")


def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN RUN…", help="Run folders.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Also write it as one HTML file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    force: Force = False,
) -> None:
    """Compare runs: recipes' differences, results, and the candidates they share."""
    from hyperprune.judgement.comparison import compare as compared
    from hyperprune.ui.runs import comparison_view

    found = compared(folders)
    if out is not None:
        from hyperprune.report.page import SIGNED

        check_target(out, force=force, own=SIGNED.encode())
    if as_json:
        show_json(found.to_json())
    else:
        show(comparison_view(found))
    if out is not None:
        from hyperprune.report.compare import write_comparison

        written = write_comparison(found, folders, out)
        typer.echo(str(written), err=as_json)


def export_data(
    folder: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="A new folder.")],
    form: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="csv or parquet.")
    ] = "csv",
) -> None:
    """Write a run's curves, densities, spectra, candidates and trainings for other programs."""
    from hyperprune.report.data import write_data

    for path in write_data(folder, out, form):
        typer.echo(str(path))


def watch(folder: RunFolder) -> None:
    """Look at a run that was started elsewhere, until it ends; Ctrl-C leaves it running."""
    from hyperprune.judgement.standing import standing
    from hyperprune.ui.candidates import candidate_table
    from hyperprune.ui.follow import following
    from hyperprune.ui.runs import unfinished
    from hyperprune.ui.verdict import result_facts

    standing(folder)  # an error for what is no run, before the screen is taken
    following(folder, screen(), sys.stdout)
    now = standing(folder)
    if now.arms:
        show_study(now, "dense")
        return
    table = candidate_table(now.candidates, now.target, screen().width, now.metric)
    show(result_facts(now.result) if now.result else unfinished(now), table)


def serve(
    folder: Folder = Path("runs"),
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, help="A port; any free one if 0.")
    ] = 0,
    allow_stop: Annotated[
        bool, typer.Option("--allow-stop", help="Let the page stop a run, as Ctrl-C would.")
    ] = False,
) -> None:
    """Serve a live page of the runs in a folder, on this machine only, until Ctrl-C."""
    from hyperprune.serve.run import serve as serving

    serving(folder, port, allow_stop=allow_stop, say=typer.echo)
