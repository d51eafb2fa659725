"""Where commands write: results to stdout, complaints to stderr, all of it safe for a terminal."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from hyperprune.errors import RunError
from hyperprune.ui.text import safe

Plugin = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file with plugins, which is run."),
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace a file.")]
UNSEEN = 160
"""Columns of a table that goes to a file or a pipe."""
SIGNED_WITHIN = 1 << 14
"""Bytes at a file's beginning in which a page says who wrote it."""


def screen(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr; names in angle and square brackets are never markup."""
    stream = sys.stderr if stderr else sys.stdout
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNSEEN
    return console


def show(*parts: RenderableType) -> None:
    """Print tables and texts to stdout, an empty line between them."""
    console = screen()
    for number, part in enumerate(parts):
        if number:
            console.print()
        console.print(part)


def check_target(path: Path, *, force: bool = False, own: bytes | None = None) -> Path:
    """The path of a file that a command may write; raises RunError for one that is not its own.

    Every command that writes where a person says asks here first: nothing is replaced but what an
    earlier call wrote (`own` stands near its beginning), or what `--force` is said for; and what is no
    file (a folder, a pipe, a device) never is.
    """
    try:
        if path.is_dir():
            raise RunError(f"{path} is a folder; say the file to write")
        if not path.exists():
            return path
        if not path.is_file():
            raise RunError(f"{path} is a pipe or a device; say the file to write")
        if force:
            return path
        if own is None:
            raise RunError(f"{path} exists; --force replaces it")
        with path.open("rb") as file:
            if own in file.read(SIGNED_WITHIN):
                return path
    except OSError as error:
        raise RunError(f"cannot look at {path}: {error.strerror}") from error
    raise RunError(f"{path} exists, and no earlier call of this wrote it; --force replaces it")


def keep_for_the_record() -> None:
    """From here on standard output holds what `show_json` prints, and nothing else.

    Whatever else is printed goes to stderr, also by plugins, workers and libraries in C.
    """
    global _record
    stream = sys.__stdout__
    if stream is None or sys.stdout is not stream or stream.fileno() != 1:
        return  # somebody captures it already
    stream.flush()
    _record = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


_record: TextIO | None = None


def show_json(value: Any) -> None:
    """Print a value as JSON to stdout, and nothing else; in ASCII, which commands no terminal."""
    stream = _record or sys.stdout
    stream.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
    stream.flush()


def complain(message: str, *, expected: bool = False) -> None:
    """Print an error to stderr, a line at a time as it was written; `expected` is no error."""
    lines = [safe(line, 2000) for line in message.splitlines()] or ["unknown error"]
    text = Text() if expected else Text("error: ", style="bold red")
    text.append("\n".join(lines), style="not bold default")
    screen(stderr=True).print(text, soft_wrap=True)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    text = Text("warning: ", style="yellow").append(safe(message, 2000), style="default")
    screen(stderr=True).print(text, soft_wrap=True)


def warn_of_broken_plugins() -> None:
    """Name each installed plugin that cannot be used, a line each."""
    from hyperprune.plugins import registry

    for item in registry().broken:
        warn(f"plugin {item.package} {item.version} cannot be used: {item.reason}")
