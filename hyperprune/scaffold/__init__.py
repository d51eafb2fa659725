"""A new plugin package of one kind or several: pyproject, module, tests, README and CI that pass untouched.

Imports plugins, for what a kind is called. Called by `cli.authoring`.
"""

from __future__ import annotations

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
SECTIONS = {
    "model": '[model]\nname = "{}"',
    "corpus": '[data]\ncorpus = "{}"',
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
    test: str  # tests/test_NAME.py


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
    return Names(name, PREFIX + stem, f"hyperprune_{name}", name)


def write_scaffold(asked: str, kinds: str | Sequence[str], parent: Path) -> Path:
    """Write a new plugin package into a new folder of `parent`; returns the folder.

    A package of several kinds has a module and an entry point for each. Raises PluginError for an
    unknown kind, a name that is no name or is taken, or a folder that is there already.
    """
    kinds = [kinds] if isinstance(kinds, str) else list(dict.fromkeys(kinds))
    names = names_of(asked)
    for kind in kinds:
        _check_kind(kind, names.name)
    folder = parent / names.package
    if folder.exists():
        raise PluginError(f"{folder} is there already; nothing was written")
    parts = {kind: names if len(kinds) == 1 else _of_kind(names, kind) for kind in kinds}
    entries = [f'{part.test} = "{part.module}"' for part in parts.values()]
    values = {
        "name": names.name,
        "package": names.package,
        "module": names.module,
        "kind": " and a ".join(kinds),
        "shown": "\n".join(f"hyperprune plugins show {kind}:{names.name}" for kind in kinds),
        "entries": "\n".join(entries),
        "version": __version__,
        "usage": "\n\n".join(usage(kind, names.name) for kind in kinds),
    }
    templates = resources.files("hyperprune.scaffold").joinpath("templates")
    try:
        fill(templates.joinpath("common"), folder, names, values)
        for kind, part in parts.items():
            title = f"A {kind} for hyperprune: what it is, and the paper it is from."
            own = {**values, "kind": kind, "module": part.module, "title": title}
            fill(templates.joinpath(kind), folder, part, own)
    except OSError as error:
        raise PluginError(f"cannot write {folder}: {error.strerror}") from error
    return folder


def _check_kind(kind: str, name: str) -> None:
    """Raise PluginError for a kind that there is not, or that has the name already."""
    if kind not in KINDS:
        raise PluginError(f"no kind {kind!r}{nearest(kind, KINDS)}; kinds: {', '.join(KINDS)}")
    taken = registry().contributions.get((kind, name))
    others = [taken.package] if taken else providers(kind, name)
    if others:
        raise PluginError(f"{others[0]} has a {kind} {name!r} already; choose another name")


def _of_kind(names: Names, kind: str) -> Names:
    """Names of one kind's part in a package of several."""
    return replace(names, module=f"{names.module}_{kind}", test=f"{names.test}_{kind}")


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
