"""Commands about recipes: what ships, what is wrong with one, and the schema for editors."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hyperprune.cli.output import (
    Force,
    Plugin,
    check_target,
    complain,
    show,
    show_json,
    warn_of_broken_plugins,
)
from hyperprune.errors import RecipeError
from hyperprune.ui.text import safe

app = typer.Typer(invoke_without_command=True, help="List the recipes that ship, or copy one.")


@app.callback()
def recipes(context: typer.Context) -> None:
    """List the recipes that ship, a line each."""
    if context.invoked_subcommand is not None:
        return
    from hyperprune.recipe import shipped_recipes
    from hyperprune.ui.tables import facts

    def line(path: Path) -> Text:
        return Text(safe(summary(path)), no_wrap=True, overflow="ellipsis")

    show(facts((name, line(path)) for name, path in shipped_recipes().items()))


@app.command("cp")
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe.")],
    target: Annotated[Path, typer.Argument(metavar="DEST", help="A new file, or a folder.")],
    force: Force = False,
) -> None:
    """Copy a shipped recipe to make it your own."""
    from hyperprune.recipe import find_recipe

    source = find_recipe(name)
    path = check_target(target / source.name if target.is_dir() else target, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.write_text(_with_schema(path.read_text(encoding="utf-8"), source), encoding="utf-8")
    except OSError as error:
        raise RecipeError([f"cannot write {path}: {error.strerror}"]) from error
    typer.echo(str(path))


def validate(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Recipe files, or names of shipped ones.")
    ],
    plugin: Plugin = None,
) -> None:
    """Check recipes and tell every mistake, with its file, key and what would be right."""
    from hyperprune.recipe import load_recipe

    warn_of_broken_plugins()
    wrong = 0
    for file in files:
        try:
            load_recipe(file, plugins=plugin or ())
            typer.echo(f"{safe(file)}: ok")
        except RecipeError as error:
            wrong += 1
            complain(str(error))
    if wrong:
        raise typer.Exit(RecipeError.exit_code)


def schema() -> None:
    """Print the JSON Schema of recipes, for completion in editors."""
    from hyperprune.recipe.schema import recipe_schema

    show_json(recipe_schema())


def summary(path: Path) -> str:
    """The first sentence that a recipe's opening comment says about it."""
    said: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("#").strip()
        if line.startswith("#:") or words.startswith("hyperprune "):
            continue
        if not words and said:
            break
        said.append(words)
    text = " ".join(said).strip()
    return re.split(r"\.\s+(?=[A-Z])", text, maxsplit=1)[0].rstrip(".")


def _with_schema(text: str, source: Path) -> str:
    """Point a copied recipe's first line at the schema from wherever the copy lies."""
    first, newline, rest = text.partition("\n")
    if not first.startswith("#:schema "):
        return text
    schema = (source.parent / first.removeprefix("#:schema ")).resolve()
    return f"#:schema {schema.as_uri()}{newline}{rest}"
