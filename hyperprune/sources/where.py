"""Where a function or a class stands, so that another process finds the same again.

What no name leads to (a lambda, what stands inside a function or in no file) is held by the process that was
given it, and found by no other.
"""

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
from hyperprune.sources.fingerprint import fingerprint


@dataclass(frozen=True)
class Where:
    """A name at the top level of a file, and the SHA-256 of the file.

    Of what is held here the name says the line, too, and is none of Python's.
    """

    path: str
    name: str
    sha256: str


_held: dict[Where, Any] = {}
"""What this process was given that no name leads to."""


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
    found = [getattr(module, name, None) for module in (_module(path), _home(thing))]
    if found[0] is None:
        raise PluginError(f"{what}: {path} has no {name} at its top level")
    if all(own is not thing for own in found):
        raise PluginError(
            f"{what}: {path} has another {name} at its top level by now (defined twice, or imported anew); "
            "give that one, or each a name of its own"
        )
    return Where(str(path), name, hashlib.sha256(content).hexdigest())


def hold(thing: Any) -> Where:
    """Hold a function or class for this process, whatever its name: who asks for the answer gets it.

    It is told apart by its file, its line, and all that it is made of.
    """
    try:
        path = str(Path(inspect.getsourcefile(thing) or "").absolute())
        content = Path(path).read_bytes()
    except (TypeError, OSError):
        path, content = "nowhere", b""
    code = getattr(thing, "__code__", None)
    line = "" if code is None else f" in line {code.co_firstlineno}"
    sha256 = hashlib.sha256(content + fingerprint(thing).encode()).hexdigest()
    found = Where(path, f"{thing.__qualname__}{line} (held)", sha256)
    _held[found] = thing
    return found


def find(known: Where) -> Any:
    """The function or class again; raises PluginError where its file is gone or another."""
    if known in _held:
        return _held[known]
    if known.name.endswith("(held)"):
        raise PluginError(
            f"{known.name.removesuffix(' (held)')} of {known.path} has no name that leads to it, so only the "
            "program that gave it to hyperprune.search finds it: run that again, which goes on where it was. "
            "What stands at the top level of a file is found by every process"
        )
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


def _home(thing: Any) -> ModuleType | None:
    """The module that a thing says it is of: a file that is run may be imported, too."""
    return sys.modules.get(getattr(thing, "__module__", None) or "")


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
