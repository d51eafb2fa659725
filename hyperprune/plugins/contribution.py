"""One registered thing, and how it is called: a plugin's mistakes are said in its name."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hyperprune.errors import (
    CorpusError,
    HyperpruneError,
    PluginError,
    RecipeError,
    RunError,
    SparsityError,
    SpectrumError,
    Stopped,
)
from hyperprune.hookspecs import GROUP
from hyperprune.plugins.parameters import Parameter, check_options, parameters_of
from hyperprune.runtime.patience import Silent, at_work
from hyperprune.runtime.signals import by_a_person

ENDINGS = (RecipeError, RunError, Stopped)
"""What ends a run in words of ours; a plugin that raises it is at fault as with any other."""
REASONS = (CorpusError, SparsityError, SpectrumError)
"""What a stranger may raise to say why there is no answer; it is said in its name."""


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


def said(error: BaseException) -> str:
    """An exception in words: its class, and what it says where it says something."""
    try:
        text = str(error)
    except BaseException:  # an exception may be a stranger's, and fail at this too
        text = "it cannot say what"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
