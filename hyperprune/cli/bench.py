"""Commands of the tabular benchmark: make a table, replay searches on it, report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hyperprune.cli.output import Force, check_target, show_json

app = typer.Typer(
    no_args_is_help=True,
    help="Measure which early signal and which search finds the better network.",
)
TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="A .safetensors table.")]
Seeds = Annotated[int, typer.Option(min=1, help="Replays of every search.")]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")]
Candidates = Annotated[
    int | None, typer.Option(min=2, help="Pool of a search; default: a third of the table.")
]


def cores() -> int:
    """Processor cores of this machine."""
    return os.cpu_count() or 1


@app.command()
def make(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe with a space.")],
    out: Annotated[Path | None, typer.Option(help="The table; default: beside the recipe.")] = None,
    configurations: Annotated[int, typer.Option(min=2, help="Configurations to train.")] = 48,
    repeated: Annotated[int, typer.Option(min=0, help="Of these, train with other seeds.")] = 4,
    seeds: Annotated[int, typer.Option(min=0, help="Other seeds of each repeated one.")] = 2,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Every N-th row from the I-th.")
    ] = "0/1",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key.")
    ] = None,
) -> None:
    """Train a space-filling sample to the full budget; stop and go on at any row."""
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise typer.BadParameter("expected I/N with I < N, such as 0/2", param_hint="--shard")
    from hyperprune.bench.make import make_table
    from hyperprune.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    make_table(
        loaded,
        out or Path(recipe).with_suffix(".safetensors"),
        configurations=configurations,
        repeated=repeated,
        seeds=seeds,
        shard=(int(part), int(parts)),
        report=typer.echo,
    )


Every = Annotated[
    bool, typer.Option("--every", help="Every objective with every searcher, not on random pools.")
]


@app.command()
def spread(table: TableFile) -> None:
    """Say how far apart final losses lie against the noise, and look at nothing else."""
    from hyperprune.bench.spread import lines
    from hyperprune.bench.spread import spread as spread_of
    from hyperprune.bench.table import Table

    for line in lines(spread_of(Table.load(table))):
        typer.echo(line)


@app.command()
def replay(
    tables: Annotated[list[Path], typer.Argument(metavar="TABLE…", help="Tables of `bench make`.")],
    seeds: Seeds = 20,
    candidates: Candidates = None,
    every: Every = False,
    workers: Workers = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Replay searches on tables and print what is found, with the noise floor."""
    from hyperprune.bench.evidence import evidence
    from hyperprune.bench.report import section
    from hyperprune.bench.signals import study
    from hyperprune.bench.summary import processes
    from hyperprune.bench.table import Table

    with processes(workers or cores()) as mapped:
        found = [
            evidence(
                study(Table.load(table), table.stem),
                seeds=seeds,
                candidates=candidates,
                every=every,
                mapped=mapped,
            )
            for table in tables
        ]
    if as_json:
        show_json(found)
    else:
        typer.echo("\n".join(line for item in found for line in section(item)))


@app.command()
def report(
    table: TableFile,
    out: Annotated[Path | None, typer.Option(help="The page; default: TABLE.html.")] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Another table, on which a learned objective is fitted; repeatable."),
    ] = None,
    seeds: Seeds = 20,
    candidates: Candidates = None,
    every: Every = False,
    workers: Workers = 0,
    force: Force = False,
) -> None:
    """Write a table's findings: TABLE.evidence.json and a page with the figures."""
    from hyperprune.bench.early import learned
    from hyperprune.bench.evidence import evidence
    from hyperprune.bench.report import evidence_path, write_html
    from hyperprune.bench.signals import study
    from hyperprune.bench.summary import processes
    from hyperprune.bench.table import Table
    from hyperprune.report.page import SIGNED
    from hyperprune.store import atomic

    whole = Table.load(table)
    page = check_target(out or table.with_suffix(".html"), force=force, own=SIGNED.encode())
    figures = check_target(evidence_path(table), force=force, own=b'"correlations"')
    own = study(whole, table.stem)
    others = [study(Table.load(path), path.stem) for path in beside or () if path != table]
    with processes(workers or cores()) as mapped:
        found = evidence(
            own,
            raw=study(whole, table.stem, raw=True),
            learned=learned(own, others) if others else None,
            every=every,
            seeds=seeds,
            candidates=candidates,
            mapped=mapped,
            report=typer.echo,
        )
    atomic.write_json(figures, found)
    typer.echo(str(figures))
    typer.echo(str(write_html(table, found, page)))
