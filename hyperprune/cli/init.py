"""`hyperprune init`: four questions, and a recipe that fits the machine and the time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hyperprune.cli.output import warn_of_broken_plugins
from hyperprune.errors import RunError

QUESTIONS = {
    "data": "Data: a folder with train.txt, valid.txt and test.txt, sequences in .npz, .safetensors or .csv, "
    "or a corpus by name",
    "network": "Network",
    "sparsity": "Sparsity, the share of weights to do without",
    "time": "Time to spend, such as 30m, 8h, 2d",
}


def init(
    target: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The recipe, a new file.")
    ] = Path("mine.toml"),
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="A corpus, a folder of text, a file or folder of sequences.",
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option("--network", metavar="NAME", help="A network by name.")
    ] = None,
    sparsity: Annotated[
        float | None, typer.Option("--sparsity", metavar="SHARE", help="Above 0, below 1.")
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="TIME", help="Such as 90s, 30m, 8h, 2d.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", metavar="NAME", help="For sequences; else what their answers are decides."
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; what is not said is the default.")
    ] = False,
) -> None:
    """Write a first recipe that fits this machine and your time: answer four questions, or say --yes."""
    if target.exists() or target.is_symlink():
        raise RunError(f"{target} exists, and is left as it is; say another file")
    from hyperprune.plugins.defaults import NAMES

    usual = {"data": NAMES["corpus"], "network": NAMES["model"], "sparsity": 0.8, "time": "30m"}
    said = {"data": data, "network": network, "sparsity": sparsity, "time": time}
    answers = {key: _answer(key, value, usual[key], yes=yes) for key, value in said.items()}
    warn_of_broken_plugins()
    from hyperprune.plan.advise import advise, seconds_of_words
    from hyperprune.plan.first_recipe import Wish
    from hyperprune.terms.duration import duration

    seconds = seconds_of_words(str(answers["time"]))
    wish = Wish(answers["data"], answers["network"], answers["sparsity"], seconds, task)
    typer.echo("timing a few steps of each size …", err=True)
    found = advise(wish)
    try:
        with target.open("x", encoding="utf-8") as file:  # nobody's file, whoever was quicker
            file.write(found.text)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror}") from error
    typer.echo(f"{target}: about {duration(found.seconds)} of {answers['time']} on this machine")
    typer.echo(f"hyperprune run {target}")


def _answer(key: str, value: Any, usual: Any, *, yes: bool) -> Any:
    if value is not None:
        return value
    return usual if yes else typer.prompt(QUESTIONS[key], default=usual)
