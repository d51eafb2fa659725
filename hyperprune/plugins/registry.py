"""Find what is installed: entry points of the group `hyperprune`, their hooks, kind and name.

A plugin that cannot be used never takes a command down: it is rolled back, kept as a `Broken`
record with its reason, and only a recipe that needs it fails.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import pluggy

from hyperprune import hookspecs
from hyperprune.errors import PluginError, nearest
from hyperprune.hookspecs import GROUP, HOOKS
from hyperprune.plugins.checks import check_hooks, check_signature, checked
from hyperprune.plugins.contribution import Contribution, said
from hyperprune.plugins.known import normal, providers

AUTOLOAD = "HYPERPRUNE_AUTOLOAD"
"""Set to 0 to load only what hyperprune's own package registers."""
STRICT = "HYPERPRUNE_STRICT"
"""Set to 1 to make any broken plugin an error."""


@dataclass(frozen=True)
class Broken:
    """A package whose plugin could not be used, and why."""

    package: str
    version: str
    entry_point: str
    reason: str


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
