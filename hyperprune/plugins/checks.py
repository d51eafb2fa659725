"""What a plugin offers, held against what its hooks ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperprune.errors import PluginError, nearest
from hyperprune.hookspecs import GROUP, HOOKS
from hyperprune.plugins.contribution import Contribution
from hyperprune.plugins.parameters import takes

GIVEN = {"corpus": 1, "model": 1, "schedule": 2, "preset": 0, "distance": 2, "searcher": 4}
"""Positional arguments that hyperprune gives, where it is not one."""


def check_hooks(plugin: object) -> None:
    """Raise PluginError for a hook that is marked and unknown, or known and not marked."""
    marked = f"{GROUP}_impl"
    for name in dir(plugin):
        hook = inspect.getattr_static(plugin, name, None)
        implements = marked in getattr(getattr(hook, "__func__", hook), "__dict__", ())
        if not implements and not name.startswith(f"{GROUP}_"):
            continue
        if name not in HOOKS.values():
            if implements or callable(hook):
                hint = nearest(name, HOOKS.values()) or f"; hooks: {', '.join(HOOKS.values())}"
                raise PluginError(f"there is no hook {name!r}{hint}")
        elif callable(getattr(hook, "__func__", hook)) and not implements:
            raise PluginError(f"{name} is not marked as a hook: write @hookimpl above it")
        elif implements and inspect.isclass(plugin) and inspect.isfunction(hook):
            raise PluginError(
                f"the entry point names the class {plugin.__name__}, whose {name} needs an object; "
                f"name one of it, or make {name} a @staticmethod"
            )


def check_signature(item: Contribution) -> None:
    """Read a signature as recipes will; raises PluginError where it is not its kind's."""
    what, count = f"{item.kind} {item.name!r}", GIVEN.get(item.kind, 1)
    try:
        fits = takes(item.target, count)
        _ = item.parameters
    except Exception as error:
        raise PluginError(f"{what}: its options cannot be read: {error}") from error
    if not fits:
        raise PluginError(
            f"{what} must take {count} positional arguments; options are keyword-only"
        )


def checked(hook: str, answer: object) -> Iterable[tuple[str, Callable[..., Any]]]:
    """Yield (name, callable) from a hook's answer; raises PluginError for any other shape."""
    if not isinstance(answer, Mapping):
        raise PluginError(f"{hook} must return {{name: callable}}, not {type(answer).__name__}")
    for name, target in answer.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise PluginError(f"{hook}: {name!r} is not a name (letters, digits, underscores)")
        if not callable(target):
            raise PluginError(f"{hook}: {name!r} is not callable")
        yield name, target
