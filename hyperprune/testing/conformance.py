"""One suite a kind, for everything registered: ours and a stranger's."""

from __future__ import annotations

import functools
import inspect
import json
import math
import os
import random
import tempfile
import tomllib
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hyperprune import events
from hyperprune.corpus import Corpus, Sequences
from hyperprune.errors import CorpusError, PluginError, nearest
from hyperprune.plugins import Contribution, is_file, read_file, registry, use
from hyperprune.plugins.parameters import Parameter, check_options
from hyperprune.recipe.write import inline
from hyperprune.testing.controls import check_control
from hyperprune.testing.corpora import check_corpus
from hyperprune.testing.distances import check_distance
from hyperprune.testing.executors import check_executor
from hyperprune.testing.models import check_features, check_model
from hyperprune.testing.objectives import check_objective
from hyperprune.testing.observers import check_observer
from hyperprune.testing.searchers import check_searcher
from hyperprune.testing.tasks import check_task
from hyperprune.testing.tiny import VOCABULARY, settings_for, tiny_arrays, tiny_run, tiny_text

LONGEST_HELP = 160
TINY = "tiny"
"""The name of the tiny text."""
SEQUENCES = Path(__file__).with_name("sequences.toml")
SMALL = 10_000
"""Tokens of a text that a test can train on."""


class NotTried(unittest.SkipTest):
    """What a suite needs is not here, such as a corpus that a person must provide."""


@dataclass(frozen=True)
class Verdict:
    """What the suite says of one contribution."""

    kind: str
    name: str
    state: Literal["passed", "failed", "not tried"]
    reason: str = ""


def contributions(package: str) -> list[Contribution]:
    """All that an installed package, or a file such as `my_gru.py`, registers; raises PluginError.

    A file is run.
    """
    if is_file(package):
        file = read_file(package)
        found = use([package]).contributions.values()
        return [item for item in found if item.package == file.name]
    for broken in registry().broken:
        if broken.package == package:
            raise PluginError(f"{package} {broken.version} cannot be used: {broken.reason}")
    items = [item for item in registry().contributions.values() if item.package == package]
    if not items:
        known = {item.package for item in registry().contributions.values()}
        raise PluginError(
            f"{package!r} registers nothing here{nearest(package, known)}; packages that do: "
            f"{', '.join(sorted(known))}"
        )
    return items


def check(item: Contribution, **options: Any) -> None:
    """Assert that a contribution keeps its kind's contract.

    It is tried with its declared `hookspecs.example` and the options given here, defaults for the
    rest. Raises AssertionError saying what is broken, or unittest.SkipTest (which pytest shows as a
    skip) where what it needs is not here.
    """
    check_described(item)
    bound = item.bind(tried_with(item, options))
    if item.kind == "model":
        check_model(functools.partial(bound, VOCABULARY))
        if getattr(item.target, "features", False):
            check_features(bound)
    elif item.kind == "corpus":
        with workspace() as folder:
            places = [tiny_text(folder / "text"), tiny_arrays(folder / "sequences")]
            found = check_corpus(bound, *places)
        if not found:
            raise NotTried(f"corpus {item.name!r} has no text of its own, and did not take ours")
    elif item.kind in PLAIN:
        PLAIN[item.kind](bound)
    else:
        check_control(item.kind, bound)


PLAIN: dict[str, Callable[[Any], object]] = {
    "distance": check_distance,
    "task": check_task,
    "objective": check_objective,
    "searcher": check_searcher,
    "executor": check_executor,
    "observer": check_observer,
}


def check_in_run(item: Contribution, **options: Any) -> None:
    """Assert that a tiny recipe which uses a contribution finds a winner with exact counts."""
    chosen = tried_with(item, options)
    if item.kind == "corpus" and not small(item.bind(chosen)):
        return  # a text of thousands of words would train for minutes
    with workspace() as folder:
        settings = settings_for(item, chosen, folder / "text")
        if item.kind == "task":
            settings += data_for(check_task(item.bind(chosen)), folder / "sequences")
        observers: list[events.Observer] = []
        if item.kind == "observer":
            (folder / "run").mkdir()
            observers = [item.bind(chosen)(folder / "run")]
        result = tiny_run(folder, *settings, observers=observers)
        assert result.best.epochs > 0
        assert math.isfinite(result.test_value)
        assert 0 < result.active < result.masked


def data_for(taken: Sequence[str], folder: Path) -> list[str]:
    """Settings of the tiny recipe that give a task the first of the tiny data that it takes."""
    if taken[0] == TINY:
        return []
    sections = tomllib.loads(SEQUENCES.read_text(encoding="utf-8")).items()
    said = {f"{name}.{key}": value for name, keys in sections for key, value in keys.items()}
    said["data.root"] = str(tiny_arrays(folder, taken[0]))
    return [f"{key}={inline(value)}" for key, value in said.items()]


def small(load: Callable[[Path | None], Corpus | Sequences]) -> bool:
    """Whether a corpus takes the tiny text, or is a text as short by itself.

    What sequences are for, only their task says: they are tried without a run.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = load(tiny_text(Path(folder)))
        except CorpusError:
            return False
    return isinstance(found, Corpus) and found.train.numel() < SMALL


def check_described(item: Contribution) -> None:
    """Assert that a person and a recipe can use a contribution: help, types, defaults."""
    assert item.help, "the docstring's first line is the help; there is none"
    assert len(item.help) <= LONGEST_HELP, f"the help is longer than {LONGEST_HELP} characters"
    signature = inspect.signature(item.target)
    for parameter in item.parameters:
        annotation = signature.parameters[parameter.name].annotation
        assert annotation is not inspect.Parameter.empty, f"option {parameter.name} has no type"
        if parameter.required:
            continue
        said = _as_said(parameter)
        problems = dict(check_options(item.target, {**_needed(item), parameter.name: said})[1])
        assert parameter.name not in problems, (
            f"the default of {parameter.name} is not one of its values: {problems[parameter.name]}"
        )


def _as_said(parameter: Parameter) -> Any:
    """A parameter's default as a recipe would say it: where it is a tuple, a list."""
    try:
        return json.loads(json.dumps(parameter.default, allow_nan=False))
    except (TypeError, ValueError):
        raise AssertionError(
            f"the default of {parameter.name}, {parameter.default!r}, is nothing that a recipe can say; "
            "None can stand for it"
        ) from None


def verdicts(package: str, *, options: Mapping[str, Any] | None = None) -> Iterator[Verdict]:
    """Try each contribution of an installed package; raises PluginError as `contributions` does."""
    for item in contributions(package):
        yield verdict(item, **(options or {}))


def verdict(item: Contribution, **options: Any) -> Verdict:
    """Try a contribution by itself and in a run, and say how it went."""
    try:
        check(item, **options)
        check_in_run(item, **options)
    except unittest.SkipTest as skip:
        return Verdict(item.kind, item.name, "not tried", str(skip))
    except Exception as error:  # a plugin's code may raise anything, and that is the finding
        said = str(error) or "it fails without a word"
        named = isinstance(error, AssertionError)
        reason = said if named else f"{type(error).__name__}: {said}"
        return Verdict(item.kind, item.name, "failed", reason)
    return Verdict(item.kind, item.name, "passed")


def tried_with(item: Contribution, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a contribution is tried with: its example's, then those given."""
    return {**_needed(item), **options}


def _needed(item: Contribution) -> dict[str, Any]:
    return dict(getattr(item.target, "example", {}))


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder and a cache of one's own, gone afterwards; random numbers outside stay as they were."""
    cache, state = os.environ.get("HYPERPRUNE_CACHE"), random.getstate()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPERPRUNE_CACHE"] = str(Path(folder) / "cache")
        try:
            yield Path(folder)
        finally:
            random.setstate(state)
            if cache is None:
                del os.environ["HYPERPRUNE_CACHE"]
            else:
                os.environ["HYPERPRUNE_CACHE"] = cache
