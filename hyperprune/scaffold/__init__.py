"""A new plugin: a package of one kind or several whose tests pass untouched, or one file for a recipe.

Imports plugins, for what a kind is called. Called by `cli.authoring`.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from hyperprune import __version__
from hyperprune.errors import PluginError, nearest
from hyperprune.plugins import KINDS, providers, registry

PREFIX = "hyperprune-"
SUFFIX = ".txt"
"""Templates end in it, so that no tool takes them for code."""
TEMPLATES = resources.files("hyperprune.scaffold").joinpath("templates")
SECTIONS = {
    "model": '[model]\nname = "{}"',
    "corpus": '[data]\ncorpus = "{}"',
    "task": '[task]\nname = "{}"',
    "distance": '[spectrum]\ndistance = "{}"',
    "objective": '[search]\nobjective = "{}"',
    "searcher": '[search]\nsearcher = "{}"',
    "executor": '[search]\nexecutor = "{}"',
}


@dataclass(frozen=True)
class Names:
    """What the parts of a plugin are called: `late` in `hyperprune_late` of `hyperprune-late`."""

    name: str
    package: str
    module: str
    test: str  # tests/test_NAME.py


def names_of(asked: str) -> Names:
    """Names from what a person asked for, `late` or `hyperprune-late`; raises PluginError."""
    stem = asked.removeprefix(PREFIX).replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", stem):
        raise PluginError(
            f"{asked!r} is no name for a plugin; use small letters, digits and dashes: my-control"
        )
    name = stem.replace("-", "_")
    if keyword.iskeyword(name) or name in dir(builtins):
        raise PluginError(f"{name!r} is a word of Python's own; choose another name")
    return Names(name, PREFIX + stem, f"hyperprune_{name}", name)


def write_scaffold(asked: str, kinds: str | Sequence[str], parent: Path) -> Path:
    """Write a new plugin package into a new folder of `parent`; returns the folder.

    A package of several kinds has a module and an entry point for each. Raises PluginError for an
    unknown kind, a name that is no name or is taken, or a folder that is there already.
    """
    kinds = [kinds] if isinstance(kinds, str) else list(dict.fromkeys(kinds))
    names, *_ = [free_names(asked, kind) for kind in kinds]
    folder = parent / names.package
    if folder.exists():
        raise PluginError(f"{folder} is there already; nothing was written")
    parts = {kind: names if len(kinds) == 1 else _of_kind(names, kind) for kind in kinds}
    whole = {
        **values_of(names, " and a ".join(kinds)),
        "shown": "\n".join(f"hyperprune plugins show {kind}:{names.name}" for kind in kinds),
        "entries": "\n".join(f'{part.test} = "{part.module}"' for part in parts.values()),
        "usage": "\n\n".join(usage(kind, names.name) for kind in kinds),
    }
    try:
        fill(TEMPLATES.joinpath("common"), folder, names, whole)
        for kind, part in parts.items():
            fill(TEMPLATES.joinpath(kind), folder, part, values_of(part, kind))
    except OSError as error:
        raise PluginError(f"cannot write {folder}: {error.strerror}") from error
    return folder


def _of_kind(names: Names, kind: str) -> Names:
    """Names of one kind's part in a package of several."""
    return replace(names, module=f"{names.module}_{kind}", test=f"{names.test}_{kind}")


def write_file(asked: str, kind: str, parent: Path) -> Path:
    """Write a plugin as one Python file that a recipe may name; returns the file.

    Raises PluginError as `write_scaffold` does.
    """
    names = free_names(asked.removesuffix(".py"), kind)
    path = parent / f"{names.name}.py"
    if path.exists():
        raise PluginError(f"{path} is there already; nothing was written")
    whole = TEMPLATES.joinpath("files", f"{kind}.py{SUFFIX}")  # where a package has two modules
    try:
        template = whole if whole.is_file() else TEMPLATES.joinpath(kind, f"MODULE.py{SUFFIX}")
        fill(template, path, names, values_of(names, kind))
    except OSError as error:
        raise PluginError(f"cannot write {path}: {error.strerror}") from error
    return path


def free_names(asked: str, kind: str) -> Names:
    """Names for a new plugin of a kind; raises PluginError where kind or name cannot be had."""
    if kind not in KINDS:
        raise PluginError(f"no kind {kind!r}{nearest(kind, KINDS)}; kinds: {', '.join(KINDS)}")
    names = names_of(asked)
    taken = registry().contributions.get((kind, names.name))
    others = [taken.package] if taken else providers(kind, names.name)
    if others:
        raise PluginError(f"{others[0]} has a {kind} {names.name!r} already; choose another name")
    if names.name in _identifiers(kind):
        raise PluginError(
            f"a fresh {kind} has another {names.name!r} in its code already; choose another name"
        )
    return names


def _identifiers(kind: str) -> set[str]:
    """What the templates of a kind import, define and use."""
    values = values_of(Names("_", "_", "_", "_"), kind)
    folder = TEMPLATES.joinpath(kind)
    parts = [*folder.iterdir(), *folder.joinpath("tests").iterdir()]
    parts.append(TEMPLATES.joinpath("files", f"{kind}.py{SUFFIX}"))
    found: set[str] = set()
    for part in parts:
        if part.is_file():
            text = Template(part.read_text("utf-8")).substitute(values)
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Name):
                    found.add(node.id)
                elif isinstance(node, ast.arg):
                    found.add(node.arg)
                elif isinstance(node, ast.alias):
                    found.add((node.asname or node.name).partition(".")[0])
                elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    found.add(node.name)
    return found


def values_of(names: Names, kind: str) -> dict[str, str]:
    """What templates have filled in."""
    return {
        "name": names.name,
        "package": names.package,
        "module": names.module,
        "kind": kind,
        "version": __version__,
        "title": f"A {kind} for hyperprune: what it is, and the paper it is from.",
        "usage": usage(kind, names.name),
    }


def usage(kind: str, name: str) -> str:
    """How a recipe or a command names it, as Markdown."""
    if kind == "observer":
        return f"```sh\nhyperprune run quickstart --observe {name}\n```"
    section = SECTIONS.get(kind, f'[prune]\n{kind} = "{{}}"')
    return f"```toml\n{section.format(name)}\n```"


def fill(template: Traversable, target: Path, names: Names, values: dict[str, str]) -> None:
    """Write a template, or every one of a folder, with its names filled in."""
    if template.is_dir():
        for part in template.iterdir():
            own = part.name.removesuffix(SUFFIX)
            own = own.replace("MODULE", names.module).replace("NAME", names.test)
            fill(part, target / own, names, values)
    elif template.name.endswith(SUFFIX):
        target.parent.mkdir(parents=True, exist_ok=True)
        text = Template(template.read_text("utf-8")).substitute(values)
        target.write_text(text, encoding="utf-8")
