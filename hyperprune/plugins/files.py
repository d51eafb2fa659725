"""A plugin in one plain Python file: read, hashed and loaded only where it is named.

Nothing is installed and nothing is searched for. What a file offers is marked by the same `@hookimpl`
as a package's, and goes by the file's name where others go by their package's.
"""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from hyperprune.errors import PluginError
from hyperprune.hookspecs import HOOKS
from hyperprune.plugins.contribution import said
from hyperprune.plugins.registry import Registry, active, installed, registry

SUFFIX = ".py"
LARGEST = 1 << 22
"""Bytes of the longest file that is read."""
SHOWN = 16
"""Hexadecimal digits of a file's hash that stand for its version."""


@dataclass(frozen=True)
class PluginFile:
    """One file as it was read: what is hashed is what is loaded."""

    path: Path
    source: bytes

    @property
    def name(self) -> str:
        """The file's own name, by which what it offers is known."""
        return self.path.name

    @property
    def version(self) -> str:
        """The beginning of the hash of what the file says."""
        return hashlib.sha256(self.source).hexdigest()[:SHOWN]


def is_file(name: str) -> bool:
    """Whether a name means a file rather than a package."""
    return name.endswith(SUFFIX)


def read_file(path: str | Path) -> PluginFile:
    """Read a plugin's file without running it; raises PluginError where it can be none."""
    path = Path(path).expanduser()
    if not (is_file(path.name) and re.fullmatch(r"[A-Za-z_]\w*", path.stem, re.ASCII)):
        raise PluginError(
            f"{path} cannot be a plugin: expected one Python file with a plain name, such as my_gru.py"
        )
    try:
        if path.stat().st_size > LARGEST:
            raise PluginError(
                f"{path} is larger than {LARGEST:,} bytes; a plugin is a short program"
            )
        source = path.read_bytes()
    except OSError as error:
        raise PluginError(f"cannot read the plugin {path}: {error.strerror}") from error
    return PluginFile(path.absolute(), source)


def use(paths: Iterable[str | Path], *, anew: bool = False) -> Registry:
    """Let the registry have what these files offer beside what is installed, and no other file's.

    A file that is in use already, with the same content, is not run again, unless `anew`: what it finds
    may be another by now. Raises PluginError, and leaves the registry as it was, for a file that cannot
    be read, fails, offers nothing or clashes.
    """
    files = [read_file(path) for path in paths]
    names = [file.name for file in files]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PluginError(f"two plugin files are named {min(twice)}; rename one")
    key = tuple((file.name, file.version) for file in files)
    if key and (anew or key not in active.known):
        found = installed()
        together = replace(
            found, contributions=dict(found.contributions), broken=list(found.broken), files=key
        )
        for file in files:
            _add(together, file)
        if anew:
            for other in [known for known in active.known if set(known) & set(key)]:
                del active.known[other]
        active.known[key] = together
    active.key = key
    return registry()


def in_use() -> dict[str, str]:
    """Files whose plugins the registry has, by name, with their versions."""
    return dict(active.key)


def _add(found: Registry, file: PluginFile) -> None:
    """Run a file and register what it offers, or nothing; raises PluginError."""
    before = len(found.contributions)
    try:
        with redirect_stdout(sys.stderr):  # standard output is for what was asked for
            found.add_plugin(_run(file), file.name, file.version, str(file.path))
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        raise PluginError(f"{file.path}: {error}") from error
    except BaseException as error:  # what a stranger raises stays with the stranger
        hint = (
            "; a plugin in one file imports what is installed, and no file beside it"
            if isinstance(error, ImportError)
            else ""
        )
        raise PluginError(f"{file.path}{_line(error, file)}: {said(error)}{hint}") from error
    if len(found.contributions) == before:
        raise PluginError(
            f"{file.path} offers nothing: return your callables by name from a function that is "
            f"marked with @hookimpl and called after its hook, such as {HOOKS['model']}"
        )


def _run(file: PluginFile) -> ModuleType:
    """The module of a file; it is not written into a cache beside it, and cannot be imported."""
    module = ModuleType(f"hyperprune_file_{file.path.stem}_{file.version}")
    module.__file__ = str(file.path)
    code = compile(file.source, str(file.path), "exec", dont_inherit=True)
    sys.modules[module.__name__] = module  # dataclasses and annotations look their module up
    try:
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _line(error: BaseException, file: PluginFile) -> str:
    """Where in the file an error comes from: `:12`, or nothing."""
    if isinstance(error, SyntaxError) and error.filename == str(file.path):
        return f":{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.lineno for frame in frames if frame.filename == str(file.path)]
    return f":{own[-1]}" if own else ""
