"""Commands that show what a run found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperprune.cli.output import Force, check_target, screen, show_json
from hyperprune.cli.output import show as show_on_screen
from hyperprune.errors import RunError, nearest
from hyperprune.ui.text import safe_lines

if TYPE_CHECKING:
    from hyperprune.judgement.result import RunResult
    from hyperprune.judgement.standing import Standing

FORMATS = ("markdown", "latex", "csv", "json")
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def show(
    folder: RunFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is known as JSON.")] = False,
    format: Annotated[  # noqa: A002
        str | None,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help="Its table as markdown, latex, csv or json."
        ),
    ] = None,
    against: Annotated[
        str, typer.Option("--against", metavar="ARM", help="The arm that others are held against.")
    ] = "dense",
) -> None:
    """Print a run's result, its candidates or arms, and where the winner's weights are."""
    from hyperprune.judgement.standing import standing
    from hyperprune.ui.candidates import candidate_table
    from hyperprune.ui.networks import topology_table
    from hyperprune.ui.runs import unfinished

    now = standing(folder)
    if format is not None:
        _write_table(now, format, against)
        return
    if as_json:
        show_json({**now.to_json(), "finished": now.result is not None})
        return
    if now.arms:
        show_study(now, against)
        return
    if now.result is None:
        show_on_screen(
            unfinished(now),
            candidate_table(now.candidates, now.target, screen().width, now.metric),
        )
        return
    show_result(now.result, as_json=False)
    if now.topology:
        typer.echo()
        show_on_screen(f"active weights of {now.result.winner}", topology_table(now.topology))


def show_study(now: Standing, against: str) -> None:
    """Print a study's table, finished or not."""
    from hyperprune.judgement.study import figures_of
    from hyperprune.judgement.timing import seconds_of
    from hyperprune.ui.runs import unfinished
    from hyperprune.ui.study import study_view
    from hyperprune.ui.verdict import study_facts

    figures = figures_of(now.arms, seconds_of(Path(now.folder)), against)
    head = study_facts(now.result) if now.result else unfinished(now)
    show_on_screen(head, study_view(figures, now.metric))


def _write_table(now: Standing, format: str, against: str) -> None:  # noqa: A002
    """Print the run's table in a format for elsewhere; raises RunError for an unknown one."""
    from dataclasses import asdict

    from hyperprune.judgement.sheets import rows_of, sheet_of
    from hyperprune.judgement.study import figures_of
    from hyperprune.judgement.timing import seconds_of
    from hyperprune.terms import sheet
    from hyperprune.ui.candidates import candidate_rows, candidate_sheet

    if format not in FORMATS:
        raise RunError(
            f"no format {format!r}{nearest(format, FORMATS)}; formats: {', '.join(FORMATS)}"
        )
    figures = figures_of(now.arms, seconds_of(Path(now.folder)), against) if now.arms else []
    if format == "json":
        show_json([asdict(item) for item in figures or now.candidates])
        return
    if format == "csv":
        heads, rows = rows_of(figures) if figures else candidate_rows(now.candidates)
        text = sheet.comma_separated(heads, rows)
    else:
        shown = (
            sheet_of(figures, now.metric)
            if figures
            else candidate_sheet(now.candidates, now.metric)
        )
        text = {"markdown": sheet.markdown, "latex": sheet.latex}[format](shown)
    typer.echo(safe_lines(text))


def spectrum(
    folder: RunFolder,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", "-c", metavar="NAME", help="A candidate, or dense."),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option("--epoch", "-e", metavar="N", help="An epoch; the last if not said."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every exponent.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the spectrum as JSON.")] = False,
) -> None:
    """Print the Lyapunov spectrum of a run's dense reference, or of a candidate beside it."""
    from hyperprune.judgement.standing import dense_spectrum, load_spectrum
    from hyperprune.training.outcome import DENSE
    from hyperprune.ui import spectra
    from hyperprune.ui.text import safe

    name = candidate or DENSE
    epoch, found = load_spectrum(folder, name, epoch)
    if as_json:
        show_json({"candidate": name, "epoch": epoch, **spectra.as_json(found)})
        return
    reference = None if name == DENSE else dense_spectrum(folder, epoch)
    console = screen()
    console.print(f"{safe(name)} after epoch {epoch}")
    view = spectra.spectrum_view(found, console.width, reference=reference, every=every)
    console.print(view)


def report(
    folder: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Where it goes; RUN/report.html if not said."
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Write a run's report as one HTML file that needs no network."""
    from hyperprune.report.html import write_report
    from hyperprune.report.page import SIGNED

    target = check_target(out or folder / "report.html", force=force, own=SIGNED.encode())
    typer.echo(str(write_report(folder, target)))


def show_result(result: RunResult, *, as_json: bool, profile: bool = False) -> None:
    """Print a finished run's result, with where its time went if asked."""
    spent = None
    if profile and result.folder:
        from hyperprune.judgement.profile import profile_of

        spent = profile_of(Path(result.folder))
    if as_json:
        extra = {"profile": spent.plain()} if spent else {}
        show_json({**result.to_json(), "folder": result.folder, **extra})
        return
    from hyperprune.ui.candidates import candidate_table
    from hyperprune.ui.costs import profile_table
    from hyperprune.ui.verdict import result_facts

    if result.arms:
        from hyperprune.judgement.standing import standing

        show_study(standing(Path(result.folder)), "dense")
        return
    table = candidate_table(result.candidates, result.dense_value, screen().width, result.metric)
    show_on_screen(result_facts(result), table)
    if spent is not None:
        typer.echo()
        show_on_screen("seconds by network and part", profile_table(spent))
