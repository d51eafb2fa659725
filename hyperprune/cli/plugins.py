"""Commands about plugins: what is registered, from which package, and what it takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from hyperprune.cli import authoring
from hyperprune.cli.output import Plugin, show, show_json
from hyperprune.errors import PluginError, nearest
from hyperprune.hookspecs import KINDS
from hyperprune.ui.text import safe

if TYPE_CHECKING:
    from hyperprune.plugins import Broken, Contribution
    from hyperprune.plugins.parameters import Parameter

app = typer.Typer(
    invoke_without_command=True, help="List what is registered; write, check and install plugins."
)
app.command("new")(authoring.new)
app.command("check")(authoring.check)
app.command("install")(authoring.install)
app.command("uninstall")(authoring.uninstall)


@app.callback()
def plugins(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help=f"Only one of {', '.join(KINDS)}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    plugin: Plugin = None,
) -> None:
    """List everything registered: kind, name, package, version, status."""
    from hyperprune.plugins import registry, use
    from hyperprune.ui.tables import plain_table

    if plugin:
        use(plugin)
    if context.invoked_subcommand is not None:
        return
    if kind is not None and kind not in KINDS:
        known = ", ".join(KINDS)
        raise PluginError(f"no kind {kind!r}{nearest(kind, KINDS)}; kinds: {known}")
    kinds = KINDS if kind is None else (kind,)
    found = [item for each in kinds for item in registry().of_kind(each)]
    if as_json:
        usable = [{**_identity(item), "status": "ok", "help": item.help} for item in found]
        show_json({"plugins": usable, "broken": [asdict(item) for item in registry().broken]})
        return
    table = plain_table("kind", "name", "package", "version", "status", "what it is")
    for item in found:
        about = Text(safe(item.help), no_wrap=True, overflow="ellipsis")
        table.add_row(*(Text(safe(cell)) for cell in _identity(item).values()), "ok", about)
    for broken in registry().broken:
        table.add_row(*_broken_row(broken))
    show(table)


@app.command("show")
def explain(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, or KIND:NAME.")],
) -> None:
    """Explain a plugin: what it is and every option a recipe may set."""
    from hyperprune.plugins import registry

    kind, colon, rest = name.rpartition(":")
    known = registry().contributions
    found = [
        item
        for (its_kind, its_name), item in sorted(known.items())
        if its_name == (rest if colon else name) and (not colon or its_kind == kind)
    ]
    if not found:
        names = [*{its_name for _, its_name in known}]
        raise PluginError(
            f"nothing named {name!r} is registered{nearest(rest, names)}; "
            "`hyperprune plugins` lists what is"
        )
    for item in found:
        show(*_explanation(item))


def _identity(item: Contribution) -> dict[str, str]:
    return {
        "kind": item.kind,
        "name": item.name,
        "package": item.package,
        "version": item.version,
    }


def _broken_row(broken: Broken) -> list[Text]:
    cells = ("–", broken.entry_point, broken.package, broken.version)
    return [
        *(Text(safe(cell)) for cell in cells),
        Text("broken", "red"),
        Text(safe(broken.reason)),
    ]


def _explanation(item: Contribution) -> list[RenderableType]:
    from hyperprune.ui.tables import facts, plain_table

    parts: list[RenderableType] = [
        facts(
            [
                (item.kind, Text(safe(item.name), "bold")),
                ("package", f"{safe(item.package)} {safe(item.version)}"),
                ("what it is", Text(safe(item.help))),
                ("source", Text(safe(item.source))),
            ]
        )
    ]
    if item.kind == "preset":
        return [*parts, _settings(item)]
    if not item.parameters:
        return [*parts, Text("takes no options\n")]
    table = plain_table("option", "type and range", "default", "meaning")
    for parameter in item.parameters:
        table.add_row(*(Text(cell) for cell in _option(parameter)))
    return [*parts, table]


def _settings(preset: Contribution) -> RenderableType:
    """What a preset sets under `[prune]` where a recipe says nothing else."""
    from hyperprune.recipe.records import Prune
    from hyperprune.recipe.write import inline
    from hyperprune.ui.tables import plain_table

    table = plain_table("it sets", "to", "meaning")
    for key, value in preset.target().items():
        field = Prune.model_fields.get(key)
        meaning = field.description or "" if field else ""
        table.add_row(*(Text(safe(cell)) for cell in (key, inline(value), meaning)))
    return table


def _option(parameter: Parameter) -> tuple[str, str, str, str]:
    default = "required" if parameter.required else repr(parameter.default)
    meaning = str(parameter.schema.get("description", ""))
    return safe(parameter.name), safe(parameter.description), safe(default), safe(meaning)
