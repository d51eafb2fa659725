"""Commands that carry out a recipe, or look at what it left."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperprune.cli.output import screen, show_json, warn_of_broken_plugins
from hyperprune.cli.output import show as show_on_screen

if TYPE_CHECKING:
    from hyperprune.events import Observer
    from hyperprune.judgement.result import RunResult
    from hyperprune.recipe.records import Recipe

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


def run(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped recipe."),
    ],
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
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, help="Candidates to train side by side."),
    ] = None,
    observe: Observe = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Carry out a recipe: dense reference, search, rounds, finalists, winner."""
    from hyperprune.recipe import load_recipe

    chosen = [*(settings or []), *([f"search.workers={workers}"] if workers else [])]
    loaded = load_recipe(recipe, chosen)
    warn_of_broken_plugins()
    if dry_run:
        _show_plan(loaded, as_json=as_json)
        return
    from hyperprune.corpus.load import load_corpus
    from hyperprune.pipeline import run as pipeline

    load_corpus(loaded.data)  # a download has the screen to itself
    with _watched(quiet, as_json, observe) as observers:
        result = pipeline.run(loaded, folder=out, observers=observers)
    _show_result(result, as_json=as_json)


def resume(
    folder: RunFolder,
    observe: Observe = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was stopped, to the same result."""
    from hyperprune.pipeline import run as pipeline

    warn_of_broken_plugins()
    with _watched(quiet, as_json, observe) as observers:
        result = pipeline.resume(folder, observers=observers)
    _show_result(result, as_json=as_json)


def show(
    folder: RunFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is known as JSON.")] = False,
) -> None:
    """Print a run's result, its candidates, and where the winner's weights are."""
    from hyperprune.judgement.standing import standing
    from hyperprune.ui import tables

    now = standing(folder)
    if as_json:
        show_json({**now.to_json(), "finished": now.result is not None})
        return
    if now.result is None:
        show_on_screen(
            tables.unfinished(now),
            tables.candidate_table(now.candidates, now.target, screen().width, now.metric),
        )
        return
    _show_result(now.result, as_json=False)
    if now.topology:
        typer.echo()
        show_on_screen(
            f"active weights of {now.result.winner}", tables.topology_table(now.topology)
        )


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
    from hyperprune.judgement.standing import load_spectrum
    from hyperprune.training.outcome import DENSE
    from hyperprune.ui import spectra
    from hyperprune.ui.text import safe

    name = candidate or DENSE
    epoch, found = load_spectrum(folder, name, epoch)
    if as_json:
        show_json({"candidate": name, "epoch": epoch, **spectra.as_json(found)})
        return
    reference = None if name == DENSE else load_spectrum(folder, DENSE, epoch)[1]
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
) -> None:
    """Write a run's report as one HTML file that needs no network."""
    from hyperprune.report.html import write_report

    written = write_report(folder, out or folder / "report.html")
    typer.echo(str(written))


def _watched(
    quiet: bool, as_json: bool, observe: list[str] | None
) -> AbstractContextManager[list[Observer]]:
    from hyperprune.ui.watch import watching

    stream = sys.stderr if as_json else sys.stdout
    return watching(screen(stderr=as_json), stream, quiet=quiet, plugins=observe or ())


def _show_result(result: RunResult, *, as_json: bool) -> None:
    if as_json:
        show_json({**result.to_json(), "folder": result.folder})
        return
    from hyperprune.ui import tables

    table = tables.candidate_table(
        result.candidates, result.dense_value, screen().width, result.metric
    )
    show_on_screen(tables.result_facts(result), table)


def _show_plan(recipe: Recipe, *, as_json: bool) -> None:
    from dataclasses import asdict

    from hyperprune.plan.estimate import estimate
    from hyperprune.plan.make import make_plan
    from hyperprune.ui import tables

    plan = make_plan(recipe)
    cost = estimate(recipe)
    if as_json:
        show_json({"plan": asdict(plan), "estimate": {**asdict(cost), "epoch": cost.epoch}})
    else:
        show_on_screen(tables.plan_facts(plan), tables.estimate_facts(cost, recipe.search.workers))
