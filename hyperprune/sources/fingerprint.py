"""What tells functions and classes apart that no name leads to: all that they are made of."""

from __future__ import annotations

import dis
import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor

PLAIN = (bool, int, float, complex, str, bytes, type(None))
"""Kinds of values that their `repr` tells apart."""
WRAPPERS = (property, cached_property, classmethod, staticmethod)
"""How functions stand in classes."""


def fingerprint(thing: Any) -> str:
    """Hash of a function or class: its code, its defaults, and every value that it captured or reads.

    Equal things have equal hashes in every process. What an import finds counts by its name and its file,
    tensors count by their numbers, and what cannot be taken apart (a lock, an open file) by its kind alone.
    """
    return _Walk().of(thing).hex()


class _Walk:
    """One walk over all that a thing is made of."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Any, bytes]] = {}  # by id; who is kept leaves it to nobody else

    def of(self, thing: Any) -> bytes:
        """The hash of a thing; what leads back to itself ends there."""
        if id(thing) in self.known:
            return self.known[id(thing)][1]
        digest = hashlib.sha256(f"{type(thing).__module__}.{type(thing).__qualname__}".encode())
        if isinstance(thing, PLAIN):
            digest.update(thing if isinstance(thing, bytes) else repr(thing).encode())
            return digest.digest()
        self.known[id(thing)] = thing, b""
        try:
            own = [self.of(part) for part in _parts(thing)]
        except Exception:  # a stranger's: nothing but its kind is known
            own = []
        for part in sorted(own) if isinstance(thing, (set, frozenset)) else own:
            digest.update(part)
        self.known[id(thing)] = thing, digest.digest()
        return digest.digest()


def _parts(thing: Any) -> Iterable[Any]:
    """What a thing is made of, in the same order in every process, but for sets."""
    if isinstance(thing, (list, tuple, set, frozenset)):
        return thing
    if isinstance(thing, dict):
        return thing.items()
    if isinstance(thing, ModuleType):
        return [thing.__name__]
    if isinstance(thing, Tensor):
        flat = thing.detach().cpu().reshape(-1).view(torch.uint8)
        return [str(thing.dtype), tuple(thing.shape), flat.numpy().tobytes()]
    if isinstance(thing, CodeType):
        return [thing.co_code, thing.co_names, thing.co_consts, thing.co_freevars]
    if isinstance(thing, (FunctionType, type)) and (named := _named(thing)):
        return named
    if isinstance(thing, FunctionType):
        return [thing.__code__, thing.__defaults__, thing.__kwdefaults__, *_read(thing)]
    if isinstance(thing, type):
        return [thing.__qualname__, thing.__bases__, *_attributes(thing)]
    if isinstance(thing, WRAPPERS):
        return [getattr(thing, name, None) for name in ("fget", "fset", "func", "__func__")]
    reduced = thing.__reduce_ex__(4)  # as copies are made
    if isinstance(reduced, str):
        return [reduced]
    return [list(part) if isinstance(part, Iterator) else part for part in reduced]


def _named(thing: FunctionType | type) -> list[Any]:
    """Name and file of what an import finds again; nothing where none does."""
    module = sys.modules.get(thing.__module__ or "")
    found: Any = module
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    if module is None or found is not thing:
        return []
    try:
        content = Path(inspect.getsourcefile(module) or "").read_bytes()
    except (TypeError, OSError):  # a library that is no Python; else a notebook, or a prompt
        return [] if module.__name__ == "__main__" else [thing.__module__, thing.__qualname__]
    return [thing.__qualname__, hashlib.sha256(content).digest()]


def _read(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Names and values that a function captured, and those of its module that it reads."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not there yet
            yield name, "nothing"
    for name in sorted(_globals(function.__code__)):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _globals(code: CodeType) -> set[str]:
    """Names of the module that code reads, that of functions and classes within it among it."""
    found = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return found.union(*(_globals(own) for own in code.co_consts if isinstance(own, CodeType)))


def _attributes(kind: type) -> Iterator[tuple[str, Any]]:
    """A class's own, without what Python itself writes there."""
    for name, value in sorted(vars(kind).items()):
        if not name.startswith("__") or isinstance(value, (FunctionType, *WRAPPERS)):
            yield name, value
