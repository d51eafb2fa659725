"""A new plugin package of any kind: pyproject, module, tests, README and CI that pass untouched.

Imports plugins, for what a kind is called. Called by `cli.authoring`.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
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
SECTIONS = {
    "model": '[model]\nname = "{}"',
    "corpus": '[data]\ncorpus = "{}"',
    "task": '[task]\nname = "{}"',
    "distance": '[spectrum]\ndistance = "{}"',
    "objective": '[search]\nobjective = "{}"',
    "searcher": '[search]\nsearcher = "{}"',
}


@dataclass(frozen=True)
class Names:
    """What the parts of a plugin are called: `late` in `hyperprune_late` of `hyperprune-late`."""

    name: str
    package: str
    module: str


def names_of(asked: str) -> Names:
    """Names from what a person asked for, `late` or `hyperprune-late`; raises PluginError."""
    stem = asked.removeprefix(PREFIX).replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", stem):
        raise PluginError(
            f"{asked!r} is no name for a plugin; use small letters, digits and dashes: my-control"
        )
    name = stem.replace("-", "_")
    if keyword.iskeyword(name):
        raise PluginError(f"{name!r} is a word of Python's own; choose another name")
    return Names(name, PREFIX + stem, f"hyperprune_{name}")


def write_scaffold(asked: str, kind: str, parent: Path) -> Path:
    """Write a new plugin package into a new folder of `parent`; returns the folder.

    Raises PluginError for an unknown kind, a name that is no name or is taken, or a folder that is
    there already.
    """
    if kind not in KINDS:
        raise PluginError(f"no kind {kind!r}{nearest(kind, KINDS)}; kinds: {', '.join(KINDS)}")
    names = names_of(asked)
    taken = registry().contributions.get((kind, names.name))
    others = [taken.package] if taken else providers(kind, names.name)
    if others:
        raise PluginError(f"{others[0]} has a {kind} {names.name!r} already; choose another name")
    folder = parent / names.package
    if folder.exists():
        raise PluginError(f"{folder} is there already; nothing was written")
    values = {
        "name": names.name,
        "package": names.package,
        "module": names.module,
        "kind": kind,
        "version": __version__,
        "title": f"A {kind} for hyperprune: what it is, and the paper it is from.",
        "usage": usage(kind, names.name),
    }
    templates = resources.files("hyperprune.scaffold").joinpath("templates")
    try:
        for part in ("common", kind):
            fill(templates.joinpath(part), folder, names, values)
    except OSError as error:
        raise PluginError(f"cannot write {folder}: {error.strerror}") from error
    return folder


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
            own = own.replace("MODULE", names.module).replace("NAME", names.name)
            fill(part, target / own, names, values)
    elif template.name.endswith(SUFFIX):
        target.parent.mkdir(parents=True, exist_ok=True)
        text = Template(template.read_text("utf-8")).substitute(values)
        target.write_text(text, encoding="utf-8")
