"""The command line: parse, call one function, print. Nothing here imports torch or ax at start.

May import every room. Called by the console script and `python -m hyperprune`.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hyperprune import __version__
from hyperprune.cli import bench, doctor, init, look, networks, plugins, recipes, results, runs
from hyperprune.cli.output import complain, keep_for_the_record
from hyperprune.errors import HyperpruneError, Stopped

DEBUG = "HYPERPRUNE_DEBUG"
"""Set to 1 to see where an error comes from."""
UNWRITTEN = 74
"""Exit code where the screen, or the file that stands for it, cannot be written (sysexits: I/O)."""
INTERNAL = 70
"""Exit code of a mistake that is ours (sysexits: software)."""

app = typer.Typer(
    name="hyperprune",
    help="Find how to prune a recurrent network, guided by Lyapunov spectra.",
    epilog="Start with: hyperprune run quickstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hyperprune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("init")(init.init)
app.command("run")(runs.run)
app.command("resume")(runs.resume)
app.command("show")(results.show)
app.command("spectrum")(results.spectrum)
app.command("report")(results.report)
app.command("runs")(look.runs)
app.command("compare")(look.compare)
app.command("watch")(look.watch)
app.command("export-data")(look.export_data)
app.command("serve")(look.serve)
app.command("score")(networks.score)
app.command("generate")(networks.generate)
app.command("export")(networks.export)
app.command("validate")(recipes.validate)
app.add_typer(recipes.app, name="recipes")
app.command("schema")(recipes.schema)
app.add_typer(plugins.app, name="plugins")
app.add_typer(bench.app, name="bench")
app.command("doctor")(doctor.doctor)


def main() -> int:
    """Run the command line; every expected failure is a message and an exit code."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show × shows ?
            stream.reconfigure(errors="replace")
    try:
        if "--json" in sys.argv or sys.argv[1:2] == ["schema"]:
            keep_for_the_record()
        app()
    except OSError as error:
        if os.environ.get(DEBUG) == "1":
            raise
        where = f"{error.filename}: " if error.filename else "the output cannot be written: "
        complain(f"{where}{error.strerror or error}; what is saved is whole")
        return UNWRITTEN
    except HyperpruneError as error:
        if os.environ.get(DEBUG) == "1":
            raise
        complain(str(error), expected=isinstance(error, Stopped))
        return error.exit_code
    except Exception as error:
        if os.environ.get(DEBUG) == "1":
            raise
        complain(
            f"internal error: {type(error).__name__}: {error}\n"
            f"this is a mistake in hyperprune or a plugin; {DEBUG}=1 shows where"
        )
        return INTERNAL
    return 0


def _open_missing_streams() -> None:
    """Replace closed standard streams by the null device: what is printed is lost, and nothing fails."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
