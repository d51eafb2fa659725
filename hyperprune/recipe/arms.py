"""Arms of a study: each read as a recipe of its own, and kept as what it sets beside the common one.

A key of an arm stands above the recipe's own keys, and so does what its preset says; `--set` stands above
an arm's preset, and above keys that only repeat it, as those of a stored recipe do. With a `[space]` beside
them each arm is tried at every configuration of it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hyperprune.errors import PluginError
from hyperprune.recipe.check import check_training
from hyperprune.recipe.presets import preset_keys, reaches
from hyperprune.recipe.problems import Problem, show
from hyperprune.recipe.records import Arm, Prune, Recipe, Train
from hyperprune.recipe.section import Choice, Section
from hyperprune.recipe.source import override
from hyperprune.recipe.space import COMMON, apply, space_of
from hyperprune.search.space import key_of

VARYING = ("prune", "train", "model")
"""Sections in which arms may differ; what is compared has its text and its judgement in common."""
RECORDS: Mapping[str, type[Section]] = {"prune": Prune, "train": Train}
"""Those whose keys need no section before them."""
MOST = 1000
DENSE = "dense"
"""The arm that every study has: the network that is not pruned."""
FOLDER = re.compile(r"c[0-9]{3,5}(-s[0-9]{1,3})?|dense-s[0-9]{1,3}")
"""Names that trainings of a run have already."""

Build = Callable[[dict[str, Any], set[str]], tuple[Recipe, list[Problem]]]
"""From a document and the keys that no preset replaces to a record, with what is wrong."""


def names_of(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the names of arms; a document without arms has nothing wrong."""
    arms = document.get("arms")
    if arms is None:
        return
    if not isinstance(arms, list) or not all(isinstance(item, dict) for item in arms):
        yield Problem("arms", f"found {show(arms)}; expected tables [[arms]], each with a name")
        return
    if len(arms) > MOST:
        yield Problem("arms", f"{len(arms)} arms; expected at most {MOST}")
    seen = {DENSE}
    for number, arm in enumerate(arms):
        name = arm.get("name")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            yield Problem(f"arms.{number}.name", f"found {show(name)}; expected a name for tables")
        elif FOLDER.fullmatch(name):
            yield Problem(f"arms.{number}.name", f"found {name!r}: a run calls its trainings so")
        elif name in seen:
            why = "the dense network is an arm by itself" if name == DENSE else "two arms have it"
            yield Problem(f"arms.{number}.name", f"found {name!r}: {why}")
        seen.add(str(name))


def read_arms(
    document: Mapping[str, Any], build: Build, common: Recipe, overridden: Collection[str]
) -> tuple[tuple[Arm, ...], list[Problem]]:
    """Arms of a document whose names are right, with everything that is wrong in them.

    `document` is as it was written, before presets; `common` the recipe without its arms; `overridden`
    are the paths given by `--set`.
    """
    found: list[Arm] = []
    problems: list[Problem] = []
    for number, arm in enumerate(document["arms"]):
        own, wrong = _read_arm(arm, document, build, common, overridden)
        found += own
        problems += [
            Problem(
                f"arms.{number}.{item.path}", f"{item.message} (arm {arm['name']!r})", item.also
            )
            for item in wrong
        ]
    problems += _alike(found) if not problems else ()
    return tuple(found), problems


def _read_arm(
    arm: Mapping[str, Any],
    document: Mapping[str, Any],
    build: Build,
    common: Recipe,
    overridden: Collection[str],
) -> tuple[list[Arm], list[Problem]]:
    whole = copy.deepcopy({key: item for key, item in document.items() if key != "arms"})
    whole["arms"] = [{"name": arm["name"]}]  # it is judged as an arm
    given: dict[str, Any] = {}
    problems: list[Problem] = []
    for path, value in _keys(arm):
        full, why = _full_path(path)
        if full == "prune.sparsity" and common.prune.budgeted:
            why = "follows from the budget and the network's size; leave it out"
        if why:
            problems.append(Problem(path, why))
        else:
            given[full] = value
    if problems:
        return [], problems
    for path in _repeated(given, overridden):
        del given[path]
    if given.get("model.name", common.model.name) != common.model.name:
        whole["model"] = {}  # the options are another network's
    try:
        for path, value in given.items():
            override(whole, path, value)
    except ValueError as error:
        return [], [Problem(path, str(error))]
    recipe, problems = build(whole, set(given))
    if problems:
        return [], problems
    preset = recipe.prune.preset if "prune.preset" in given else None
    settings = _settings(recipe, given, common, preset)
    space = space_of(recipe)
    if not space.dimensions:
        return [Arm(name=arm["name"], settings=settings)], []
    if space.size is None or space.size > MOST:
        return [], [
            Problem(
                "space", "arms are tried at every configuration of a space: give lists, and few"
            )
        ]
    found: list[Arm] = []
    for configuration in space.enumerate():
        said = _said(configuration)
        found.append(Arm(name=f"{arm['name']} {said}", settings={**settings, **configuration}))
        for item in check_training(apply(recipe, configuration)):
            problems.append(Problem(item.path, f"{item.message}, with {said}", item.also))
    return found, problems[:1]


def _repeated(given: Mapping[str, Any], overridden: Collection[str]) -> list[str]:
    """Keys under `--set` that say what the arm's preset says anyhow, and so stand no higher than it."""
    name = given.get("prune.preset")
    try:
        said = preset_keys(name) if isinstance(name, str) else {}
    except PluginError:  # told where the preset is filled in
        return []
    under = [path for path in given if any(reaches(key, path) for key in overridden)]
    keys = {path: path.removeprefix("prune.") for path in under}
    return [
        path for path, key in keys.items() if key in said and _same(key, given[path], said[key])
    ]


def _same(key: str, one: Any, other: Any) -> bool:
    """Whether a key of `[prune]` means the same by two values."""
    try:
        return Prune.model_validate({key: one}) == Prune.model_validate({key: other})
    except ValidationError:  # told where the key is read
        return False


def _said(configuration: Mapping[str, Any]) -> str:
    # In full: shortened, two long lists may read the same.
    return " ".join(f"{path.rpartition('.')[2]}={v!r}" for path, v in configuration.items())


def _keys(arm: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings of an arm by the path it writes: tables in tables and quoted keys are the same."""

    def walk(value: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            path = f"{before}{key}"
            if isinstance(item, Mapping) and (path in VARYING or "name" not in item):
                yield from walk(item, f"{path}.")
            else:
                yield path, item

    yield from walk({key: item for key, item in arm.items() if key != "name"}, "")


def _full_path(path: str) -> tuple[str, str]:
    """The full path of an arm's key, `sparsity` or `prune.sparsity`; or why there is none."""
    section, _, rest = path.partition(".")
    owners = [
        f"{name}.{section}" for name, record in RECORDS.items() if section in record.model_fields
    ]
    if len(owners) > 1:
        return path, f"could be {' or '.join(owners)}; write one in full"
    if owners and section not in VARYING:
        path = owners[0] + (f".{rest}" if rest else "")
        section = path.partition(".")[0]
    if path in COMMON or section not in VARYING:
        return path, "is the same for every arm; arms differ in keys of prune, train and model"
    return path, ""


def _settings(
    recipe: Recipe, given: Mapping[str, Any], common: Recipe, preset: str | None
) -> dict[str, Any]:
    """What an arm sets, resolved: all that it or its preset says, equal to the recipe's or not."""
    found: dict[str, Any] = {}
    paths = dict.fromkeys(".".join(path.split(".")[:2]) for path in given)
    if preset is not None:
        paths |= dict.fromkeys(f"prune.{key}" for key in preset_keys(preset))
    for path in paths:
        section, key = path.split(".")
        if section == "model":
            if recipe.model.name != common.model.name:
                found["model"] = {"name": recipe.model.name, **recipe.model.options}
            elif key in recipe.model.options:
                found[path] = recipe.model.options[key]
            continue
        value = getattr(getattr(recipe, section), key)
        value = value.plain if isinstance(value, Choice) else value
        found[path] = list(value) if isinstance(value, tuple) else value
    return found


def _alike(arms: Sequence[Arm]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for arm in arms:
        first = seen.setdefault(key_of(arm.settings), arm.name)
        if first != arm.name:
            yield Problem("arms", f"{first!r} and {arm.name!r} are the same")
