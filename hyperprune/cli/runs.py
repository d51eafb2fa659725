"""Commands that carry out a recipe."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperprune.cli.output import Plugin, screen, show_json, warn_of_broken_plugins
from hyperprune.cli.output import show as show_on_screen
from hyperprune.cli.results import RunFolder, show_result
from hyperprune.ui.text import safe_lines

if TYPE_CHECKING:
    from hyperprune.events import Observer
    from hyperprune.plan.settle import Settled

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
    show_result(result, as_json=as_json, profile=profile)
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
    show_result(result, as_json=as_json, profile=profile)


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
