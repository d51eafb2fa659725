"""Where a function or a class stands, so that another process finds the same again."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from hyperprune.errors import PluginError


@dataclass(frozen=True)
class Where:
    """A name at the top level of a file, and the SHA-256 of the file."""

    path: str
    name: str
    sha256: str


def where(thing: Any, what: str) -> Where:
    """Where a function or class stands; raises PluginError, with what to do, where nobody could find it.

    `what` is the argument that it was given as.
    """
    name = getattr(thing, "__qualname__", None)
    if not callable(thing) or not isinstance(name, str):
        raise PluginError(
            f"{what}: found {type(thing).__name__}; expected a function or class at the top level of a file "
            "(of a partial or an object with __call__, write a function that calls it)"
        )
    if not name.isidentifier():
        kind = "a lambda" if "<lambda>" in name else f"{name!r}"
        raise PluginError(
            f"{what}: found {kind}, which workers and later sittings cannot find by its name; write "
            f"`def {what}(…): return …` at the top level of a file, and give that"
        )
    try:
        path = Path(inspect.getsourcefile(thing) or "").absolute()
        content = path.read_bytes()
    except (TypeError, OSError):
        raise PluginError(
            f"{what}: {name} stands in no file (a notebook, a prompt); write it into a file, which is "
            "imported, and give it from there"
        ) from None
    found = Where(str(path), name, hashlib.sha256(content).hexdigest())
    if getattr(_module(path), name, None) is None:
        raise PluginError(f"{what}: {path} has no {name} at its top level")
    return found


def find(known: Where) -> Any:
    """The function or class again; raises PluginError where its file is gone or another."""
    path = Path(known.path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PluginError(
            f"cannot read {path}, where {known.name} stood: {error.strerror}"
        ) from error
    now = hashlib.sha256(content).hexdigest()
    if now != known.sha256:
        raise PluginError(
            f"{path}, where {known.name} stands, has changed since the run began (sha256 "
            f"{known.sha256[:12]}…, now {now[:12]}…); change it back, or begin a new run. A network in a "
            "file of its own changes less often"
        )
    found = getattr(_module(path), known.name, None)
    if found is None:
        raise PluginError(f"{path} has no {known.name} at its top level")
    return found


def _module(path: Path) -> ModuleType:
    """The module of a file: the one that is running or imported, else a new one."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).absolute() == path:
            return module
    spec = importlib.util.spec_from_file_location(f"hyperprune_source_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    sys.path.append(str(path.parent))  # as when the file is run: it may import what lies beside it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module
