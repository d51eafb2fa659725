"""Commands that carry out a recipe, or look at what it left."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperprune.cli.output import (
    Force,
    Plugin,
    check_target,
    screen,
    show_json,
    warn_of_broken_plugins,
)
from hyperprune.cli.output import show as show_on_screen
from hyperprune.errors import RunError, nearest
from hyperprune.ui.text import safe_lines

if TYPE_CHECKING:
    from hyperprune.events import Observer
    from hyperprune.judgement.result import RunResult
    from hyperprune.judgement.standing import Standing
    from hyperprune.plan.settle import Settled

FORMATS = ("markdown", "latex", "csv", "json")
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the result.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result record as JSON; progress goes to stderr.")
]
Observe = Annotated[
    list[str] | None,
    typer.Option(
        "--observe",
        metavar="NAME",
        help="Also tell an observer plugin: NAME, or { name = …, option = … }.",
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="NAME",
        help="Where candidates train: NAME, or { name = …, option = … }.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        "--ray",
        metavar="ADDRESS",
        help="Which cluster: HOST:PORT, or auto; for an executor that takes an address.",
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        "--workers", metavar="N|auto", help="Candidates to train side by side; auto: what fits."
    ),
]
Profile = Annotated[
    bool, typer.Option("--profile", help="Also say where the time went, network by network.")
]


def run(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe file, or the name of a shipped recipe.",
            show_default=False,
        ),
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="The recipe of a run, in place of RECIPE; versions compared.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a setting, such as prune.sparsity=0.8."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where the run folder goes.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what it costs; stop.")
    ] = False,
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    plugin: Plugin = None,
    observe: Observe = None,
    profile: Profile = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Carry out a recipe: dense reference, search, rounds, finalists, winner."""
    chosen = [*(settings or []), *_where(workers, executor, address)]
    settled = _settled(recipe, origin, chosen, plugin or [], begins=not dry_run)
    if dry_run:
        _show_plan(settled, as_json=as_json)
        return
    from hyperprune.pipeline import run as pipeline

    with _watched(quiet, as_json, observe) as observers:
        result = pipeline.begin(settled, folder=out, observers=observers, profile=profile)
    _show_result(result, as_json=as_json, profile=profile)
    if origin is not None:
        from hyperprune.pipeline.again import held_against

        if said := held_against(origin, result):
            typer.echo(f"\n{safe_lines(said)}", err=as_json)


def _settled(
    recipe: str | None, origin: Path | None, chosen: list[str], plugins: list[Path], *, begins: bool
) -> Settled:
    """A recipe, or that of a run, settled; a download has the screen to itself."""
    if (recipe is None) == (origin is None):
        raise typer.BadParameter(
            "say a recipe, such as quickstart, or --from RUN"
            if recipe is None
            else "a recipe and --from RUN: say one of the two"
        )
    if origin is not None:
        from hyperprune.pipeline.again import settled_from

        warn_of_broken_plugins()
        return settled_from(origin, chosen, plugins)
    from hyperprune.plan.ahead import prepare
    from hyperprune.recipe import load_recipe

    loaded = load_recipe(str(recipe), chosen, plugins=plugins)
    warn_of_broken_plugins()
    if begins:
        prepare(loaded)
    from hyperprune.plan.settle import settle  # imports torch, beside what was begun

    return settle(loaded)


def resume(
    folder: RunFolder,
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    observe: Observe = None,
    profile: Profile = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was stopped, to the same result; on another executor if asked."""
    from hyperprune.pipeline import run as pipeline

    chosen = _where(workers, executor, address)
    warn_of_broken_plugins()
    with _watched(quiet, as_json, observe) as observers:
        result = pipeline.resume(folder, overrides=chosen, observers=observers, profile=profile)
    _show_result(result, as_json=as_json, profile=profile)


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
    _show_result(now.result, as_json=False)
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
        shown = sheet_of(figures, now.metric) if figures else candidate_sheet(now.candidates)
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


def _where(workers: str | None, executor: str | None, address: str | None) -> list[str]:
    """Settings of a recipe that say where its candidates train.

    An address alone chooses the executor that takes one; raises RecipeError where none does, or several.
    """
    from hyperprune.errors import RecipeError
    from hyperprune.plugins import registry

    if address is not None and executor is None:
        able = [
            item.name
            for item in registry().of_kind("executor")
            if any(parameter.name == "address" for parameter in item.parameters)
        ]
        if len(able) != 1:
            found = f"{' and '.join(able)} do" if able else "none here does"
            raise RecipeError(
                [f"--address {address}: choose an executor that takes an address; {found}"]
            )
        executor = able[0]
    given = {
        "search.workers": workers,
        "search.executor": executor,
        "search.executor.address": None if address is None else json.dumps(address),
    }
    return [f"{key}={value}" for key, value in given.items() if value is not None]


def _watched(
    quiet: bool, as_json: bool, observe: list[str] | None
) -> AbstractContextManager[list[Observer]]:
    from hyperprune.ui.watch import watching

    stream = sys.stderr if as_json else sys.stdout
    return watching(screen(stderr=as_json), stream, quiet=quiet, plugins=observe or ())


def _show_result(result: RunResult, *, as_json: bool, profile: bool = False) -> None:
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


def _show_plan(settled: Settled, *, as_json: bool) -> None:
    from dataclasses import asdict

    from rich.text import Text

    from hyperprune.plan.estimate import estimate
    from hyperprune.ui.costs import estimate_facts, plan_facts
    from hyperprune.ui.text import safe

    plan, cost = settled.plan, estimate(settled)
    if as_json:
        show_json({"plan": asdict(plan), "estimate": {**asdict(cost), "epoch": cost.epoch}})
    else:
        notices = (Text(f"note: {safe(notice)}") for notice in settled.notices)
        show_on_screen(plan_facts(plan), estimate_facts(cost), *notices)
