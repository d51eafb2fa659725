"""Find what is installed: entry points of the group `hyperprune`, their hooks, kind and name.

A plugin that cannot be used never takes a command down: it is rolled back, kept as a `Broken`
record with its reason, and only a recipe that needs it fails.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from importlib import metadata, resources
from typing import Any

import pluggy

from hyperprune import hookspecs
from hyperprune.errors import (
    CorpusError,
    HyperpruneError,
    PluginError,
    RecipeError,
    RunError,
    SparsityError,
    SpectrumError,
    Stopped,
    nearest,
)
from hyperprune.hookspecs import GROUP, HOOKS
from hyperprune.plugins.parameters import Parameter, check_options, parameters_of, takes
from hyperprune.runtime.patience import Silent, at_work
from hyperprune.runtime.signals import by_a_person

AUTOLOAD = "HYPERPRUNE_AUTOLOAD"
"""Set to 0 to load only what hyperprune's own package registers."""
STRICT = "HYPERPRUNE_STRICT"
"""Set to 1 to make any broken plugin an error."""

ENDINGS = (RecipeError, RunError, Stopped)
"""What ends a run in words of ours; a plugin that raises it is at fault as with any other."""
REASONS = (CorpusError, SparsityError, SpectrumError)
"""What a stranger may raise to say why there is no answer; it is said in its name."""
GIVEN = {"corpus": 1, "model": 1, "schedule": 2, "preset": 0, "distance": 2, "searcher": 4}
"""Positional arguments that hyperprune gives, where it is not one."""


@dataclass(frozen=True)
class Contribution:
    """One registered thing: what it is, what makes it, and the package it came from."""

    kind: str
    name: str
    target: Callable[..., Any]
    package: str
    version: str
    file: str = ""  # where it comes from one file that was named, and from no package

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def help(self) -> str:
        """First line of the callable's docstring."""
        lines = (self.target.__doc__ or "").strip().splitlines()
        return lines[0] if lines else ""

    @property
    def source(self) -> str:
        """File and line where the callable is written, or nothing where there is none."""
        try:
            written = inspect.unwrap(self.target)
            return f"{inspect.getsourcefile(written)}:{inspect.getsourcelines(written)[1]}"
        except (OSError, TypeError):
            return ""

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a recipe may set on it."""
        return parameters_of(self.target)

    def bind(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the callable with validated options; raises PluginError naming each bad one."""
        values, problems = check_options(self.target, options)
        if problems:
            listed = "; ".join(f"{key}: {problem}" for key, problem in problems)
            raise PluginError(f"{self.kind} {self.name!r}: {listed}")
        return self._guarded(values)

    def _guarded(self, options: Mapping[str, Any]) -> Callable[..., Any]:
        """The callable with its options; what a stranger raises becomes a PluginError that names it.

        Also what is no Exception, such as the SystemExit of `sys.exit()`: a plugin does not end the
        process, nor a run. Errors in words and a person's Ctrl-C pass, since they say something else;
        a silence that is too long is said in its name.
        """
        who = f"{self.kind} {self.name!r} of {self.package}"
        ours = self.package == GROUP
        watched = contextlib.nullcontext if ours else functools.partial(at_work, who)

        @functools.wraps(self.target)
        def call(*given: Any, **options: Any) -> Any:
            try:
                with watched():
                    return self.target(*given, **options)
            except Silent as error:
                raise PluginError(str(error)) from error
            except BaseException as error:
                if isinstance(error, HyperpruneError) and (ours or self.kind == "searcher"):
                    # An executor of ours says in words why no run can begin.
                    if not isinstance(error, ENDINGS) or self.kind == "executor":
                        raise
                elif type(error) in REASONS:
                    raise type(error)(f"{who}: {error}") from error
                if isinstance(error, KeyboardInterrupt) and by_a_person(error):
                    raise
                raise PluginError(f"{who} raised {said(error)}") from error

        bound = functools.partial(call, **options)  # its `keywords` show what is chosen
        bound.__dict__["__name__"] = self.name
        return bound

    def ask(self, attribute: str, *given: Any, **options: Any) -> Any:
        """Call what the callable carries as an attribute, with options; None where it has none.

        So searchers and executors may carry `prepare`, which loads ahead, and an executor `fit`.
        """
        answer = getattr(self.target, attribute, None)
        return None if answer is None else replace(self, target=answer)._guarded(options)(*given)


@dataclass(frozen=True)
class Broken:
    """A package whose plugin could not be used, and why."""

    package: str
    version: str
    entry_point: str
    reason: str


def said(error: BaseException) -> str:
    """An exception in words: its class, and what it says where it says something."""
    try:
        text = str(error)
    except BaseException:  # an exception may be a stranger's, and fail at this too
        text = "it cannot say what"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@functools.cache
def known_packages() -> dict[str, dict[str, Any]]:
    """Packages that hyperprune has heard of: `{package: {"about": …, "provides": {kind: [name]}}}`."""
    text = resources.files("hyperprune.plugins").joinpath("known_plugins.json").read_text("utf-8")
    known: dict[str, dict[str, Any]] = json.loads(text)
    return known


def normal(package: str) -> str:
    """A package's name as indexes compare it: `Hyperprune_MGU` is `hyperprune-mgu`."""
    return re.sub(r"[-_.]+", "-", package).lower()


def providers(kind: str, name: str) -> list[str]:
    """Known packages that have a kind of thing by name, installed or not."""
    return [
        package
        for package, entry in known_packages().items()
        if name in entry["provides"].get(kind, ())
    ]


@dataclass
class Registry:
    """Everything registered, by kind and name."""

    contributions: dict[tuple[str, str], Contribution] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    files: tuple[tuple[str, str], ...] = ()  # names and versions of plugin files among them

    def names(self, kind: str) -> list[str]:
        """Names registered for a kind, sorted."""
        return sorted(name for known, name in self.contributions if known == kind)

    def of_kind(self, kind: str) -> list[Contribution]:
        """Contributions of a kind, sorted by name."""
        return [self.contributions[kind, name] for name in self.names(kind)]

    def get(self, kind: str, name: str) -> Contribution:
        """Find a contribution; raises PluginError with the nearest name and what is broken."""
        found = self.contributions.get((kind, name))
        if found is not None:
            return found
        known = self.names(kind)
        packages = providers(kind, name)
        if packages:
            hint = f"; {packages[0]} has it: `hyperprune plugins install {packages[0]}`"
        else:
            hint = nearest(name, known)
        message = f"no {kind} named {name!r}{hint}; known: {', '.join(known)}"
        if self.broken:
            listed = ", ".join(f"{item.package} ({item.reason})" for item in self.broken)
            message += f". Installed but broken: {listed}"
        raise PluginError(message)

    def bind(self, kind: str, name: str, options: Mapping[str, Any] | None = None) -> Any:
        """Return a named contribution's callable with its options set."""
        return self.get(kind, name).bind(options or {})

    def add_plugin(self, plugin: object, package: str, version: str, file: str = "") -> None:
        """Register all that one plugin object offers, or nothing; raises PluginError."""
        manager = pluggy.PluginManager("hyperprune")
        manager.add_hookspecs(hookspecs.Hooks)
        wanted = getattr(plugin, "HYPERPRUNE_API", hookspecs.API_VERSION)
        if not isinstance(wanted, int):
            raise PluginError(f"HYPERPRUNE_API is {wanted!r}, not a version such as 1")
        if wanted > hookspecs.API_VERSION:
            raise PluginError(
                f"made for plugin API {wanted}; this hyperprune speaks {hookspecs.API_VERSION}"
            )
        check_hooks(plugin)
        try:
            manager.register(plugin)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(str(error).splitlines()[-1].strip()) from error
        new: dict[tuple[str, str], Contribution] = {}
        for kind, hook in HOOKS.items():
            for answer in getattr(manager.hook, hook)():
                for name, target in checked(hook, answer):
                    clash = self.contributions.get((kind, name)) or new.get((kind, name))
                    if clash is not None:
                        raise PluginError(
                            f"{kind} {name!r} is registered by {clash.package} already"
                        )
                    new[kind, name] = Contribution(kind, name, target, package, version, file)
        for contribution in new.values():
            check_signature(contribution)
        self.contributions.update(new)


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


def discover(entry_points: Iterable[metadata.EntryPoint]) -> Registry:
    """Load entry points in the order of their packages, hyperprune's own first."""
    found = Registry()

    def order(point: metadata.EntryPoint) -> tuple[bool, str, str]:
        package = point.dist.name if point.dist else ""
        return (package != GROUP, package, point.name)

    for point in sorted(entry_points, key=order):
        package = normal(point.dist.name) if point.dist else point.value
        version = point.dist.version if point.dist else "?"
        try:
            with redirect_stdout(sys.stderr):  # standard output is for what was asked for
                found.add_plugin(point.load(), package, version)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin's error must not stop discovery
            reason = str(error) if isinstance(error, PluginError) else said(error)
            found.broken.append(Broken(package, version, point.name, reason))
    return found


@functools.cache
def installed() -> Registry:
    """Everything installed, loaded once a process."""
    points: Iterable[metadata.EntryPoint] = metadata.entry_points(group=GROUP)
    if os.environ.get(AUTOLOAD, "1") == "0":
        points = [point for point in points if point.dist and point.dist.name == GROUP]
    found = discover(points)
    if found.broken and os.environ.get(STRICT, "0") == "1":
        lines = [f"plugin {item.package} is broken: {item.reason}" for item in found.broken]
        raise PluginError("\n".join(lines))
    return found


@dataclass
class _Active:
    """Which plugin files count now, and registries by the files they have (`plugins.files`)."""

    key: tuple[tuple[str, str], ...] = ()
    known: dict[tuple[tuple[str, str], ...], Registry] = field(default_factory=dict)


active = _Active()


def registry() -> Registry:
    """Everything installed, and what the files offer that the recipe in hand names."""
    return active.known[active.key] if active.key else installed()
