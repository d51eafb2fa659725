"""Commands for those who write plugins, and for installing what others wrote."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hyperprune.cli.output import screen, show, warn
from hyperprune.errors import PluginError, nearest
from hyperprune.hookspecs import GROUP, KINDS
from hyperprune.ui.text import safe

COLOURS = {"passed": "green", "failed": "red", "not tried": "yellow"}


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as late, or hyperprune-late.")],
    kinds: Annotated[
        list[str],
        typer.Option(
            "--kind", "-k", metavar="KIND", help=f"One of {', '.join(KINDS)}; may be said again."
        ),
    ],
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="Where the new folder goes.")
    ] = Path(),
    file: Annotated[
        bool, typer.Option("--file", help="One file for a recipe to name, and no package.")
    ] = False,
) -> None:
    """Write a plugin to start from: module, tests, README, CI; its tests pass untouched."""
    from hyperprune.scaffold import write_file, write_scaffold

    if file and len(kinds) > 1:
        raise PluginError(
            "a file is written for one kind; leave out --file for a package of several"
        )
    made = write_file(name, kinds[0], folder) if file else write_scaffold(name, kinds, folder)
    typer.echo(str(made))
    if file:
        screen(stderr=True).print(
            f'next: hyperprune plugins check {safe(str(made))}; then plugins = ["{safe(made.name)}"] '
            f"at the top of a recipe beside it, or --plugin {safe(str(made))}",
            soft_wrap=True,
        )
        return
    screen(stderr=True).print(
        f"next: cd {safe(str(made))}, pip install -e '.[test]', pytest; "
        f"then write your own {' and '.join(kinds)}, and the tests",
        soft_wrap=True,
    )


def check(
    packages: Annotated[
        list[str],
        typer.Argument(
            metavar="PACKAGE...", help="Installed packages, or files such as my_gru.py."
        ),
    ],
) -> None:
    """Run the conformance suite on a package or a file: a verdict for everything that it registers."""
    from hyperprune.plugins import is_file, normal
    from hyperprune.testing import contributions, verdict
    from hyperprune.ui.tables import plain_table

    table = plain_table("kind", "name", "verdict", "why")
    failed = 0
    for package in packages:
        for item in contributions(package if is_file(package) else normal(package)):
            found = verdict(item)
            failed += found.state == "failed"
            name, reason = Text(safe(found.name)), Text(safe(found.reason, 2000))
            table.add_row(found.kind, name, Text(found.state, COLOURS[found.state]), reason)
    show(table)
    if failed:
        raise typer.Exit(1)


def install(
    packages: Annotated[
        list[str], typer.Argument(metavar="PACKAGE...", help="Names, paths or links, as pip takes.")
    ],
    editable: Annotated[
        bool, typer.Option("--editable", "-e", help="Install a folder so that edits count at once.")
    ] = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", "-U", help="Take newer versions.")] = False,
) -> None:
    """Install plugins beside this hyperprune, and say what they add."""
    before = _installed()
    words = ["install", *(["--upgrade"] if upgrade else [])]
    wanted = [word for package in packages for word in ("--editable", package)]
    _pip([*words, *(wanted if editable else ["--", *packages])])
    after = _installed()
    for kind, name, package in sorted(after - before):
        typer.echo(f"{kind} {name}  from {package}" if kind else f"broken: {package}: {name}")
    if not after - before:
        typer.echo("nothing new is registered; `hyperprune plugins` lists what is")


def uninstall(
    packages: Annotated[
        list[str], typer.Argument(metavar="PACKAGE...", help="Packages that register plugins.")
    ],
) -> None:
    """Remove plugins; packages that are no plugins are left alone."""
    from hyperprune.plugins import normal

    known = {normal(point.dist.name) for point in metadata.entry_points(group=GROUP) if point.dist}
    for package in packages:
        if normal(package) == GROUP:
            raise PluginError("hyperprune itself is no plugin; pip removes it")
        if normal(package) not in known:
            raise PluginError(
                f"{package!r} registers nothing here{nearest(package, known - {GROUP})}"
            )
    _pip(["uninstall", "--yes", "--", *packages])


def _pip(words: list[str]) -> None:
    """Run pip of the interpreter that runs hyperprune; raises PluginError with its last lines."""
    if find_spec("pip") is None:
        raise PluginError(
            f"{sys.executable} has no pip; run `python -m ensurepip`, or install with the tool that "
            "made this environment (uv pip, conda)"
        )
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()][-5:]
        raise PluginError("pip could not do it:\n" + "\n".join(said))
    for line in done.stderr.splitlines():
        if re.match(r"WARNING: .*(conflict|incompatible)", line):
            warn(line)


def _installed() -> set[tuple[str, str, str]]:
    """(kind, name, package) of what a new process finds; kind is empty for what is broken."""
    command = [sys.executable, "-m", "hyperprune", "plugins", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise PluginError(f"cannot list what is registered: {done.stderr.strip()}") from None
    usable = {(item["kind"], item["name"], item["package"]) for item in told["plugins"]}
    return usable | {("", item["reason"], item["package"]) for item in told["broken"]}
