"""A recipe from a file, a shipped name or a text, with every mistake reported at once."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hyperprune.errors import RecipeError
from hyperprune.recipe.arms import names_of, read_arms
from hyperprune.recipe.check import check
from hyperprune.recipe.code import files_from, use_files
from hyperprune.recipe.presets import expand_presets, reaches
from hyperprune.recipe.problems import Problem, printable, read, record_problems
from hyperprune.recipe.records import Recipe, Search
from hyperprune.recipe.seeds import settle_seeds
from hyperprune.recipe.shipped import find_recipe, shipped_recipes
from hyperprune.recipe.source import (
    flat_space,
    locate,
    odd_values,
    override,
    parse,
    parse_override,
    places_from,
    read_text,
    same_entry,
)
from hyperprune.recipe.space import resolve, with_space
from hyperprune.runtime.patience import patient


def load_recipe(
    path_or_name: str | Path, overrides: Sequence[str] = (), *, plugins: Sequence[str | Path] = ()
) -> Recipe:
    """Load a recipe file or a shipped recipe by name, with overrides such as `train.lr=20`.

    Relative places (`data.root`, `dense.run`) count from the recipe's folder; from the working folder
    where an override gives them. `plugins` are Python files beside those that the recipe names; **they are
    run**. Raises RecipeError with every problem, one a line: file and line, key, found, expected.
    """
    path = Path(path_or_name)
    name = path.as_posix()
    if (
        path.suffix != ".toml"
        and not path.exists()
        and ("/" not in name or name in shipped_recipes())
    ):
        path = find_recipe(name)
    text = read_text(path)
    if not parse(text, str(path)):
        raise RecipeError(
            [
                f"{printable(str(path))}: an empty recipe; `hyperprune recipes cp quickstart "
                "mine.toml` gives one to start from, and `hyperprune recipes` lists what ships"
            ]
        )
    return loads(text, str(path), overrides, folder=path.parent, plugins=plugins)


def loads(
    text: str,
    source: str = "recipe",
    overrides: Sequence[str] = (),
    *,
    folder: Path | None = None,
    plugins: Sequence[str | Path] = (),
) -> Recipe:
    """Read a recipe from TOML text; `source` names it in problems. Raises RecipeError.

    Relative paths in the text count from `folder` where it is given. Files of plugins that the text
    or `plugins` name are run.
    """
    document = parse(text, source)
    files_from(folder or Path.cwd(), document)
    if folder is not None:
        places_from(folder, document)
    if isinstance(document.get("space"), dict):
        document["space"] = flat_space(document["space"])
    given, refused = _override_all(document, overrides)
    with patient(_silence(document)):  # plugins are asked for presets, sizes and options
        return _recipe(document, text, source, plugins, given, refused)


def _recipe(
    document: dict[str, Any],
    text: str,
    source: str,
    plugins: Sequence[str | Path],
    given: dict[str, str],
    refused: list[str],
) -> Recipe:
    """The recipe of a document whose overrides are applied; raises RecipeError."""
    if problems := list(use_files(document, plugins)):  # what they offer is then not known
        raise RecipeError([*locate(problems, source, text, given), *refused])
    try:
        problems = [*settle_seeds(document), *names_of(document)]
        written = copy.deepcopy(document)
        arms = written.get("arms", []) if not problems else []
        document["arms"] = [{"name": arm["name"]} for arm in arms]
        recipe, found = read_document(document, given)
        problems = [*problems, *_still_news(found, problems)]
        if arms and not problems:
            methods, problems = read_arms(
                written, lambda whole, own: read_document(whole, {*given, *own}), recipe, given
            )
            recipe = recipe.model_copy(update={"arms": methods, "space": {}})
    except RecursionError:
        raise RecipeError([f"{printable(source)}: nested too deeply"]) from None
    if problems or refused:
        raise RecipeError([*locate(problems, source, text, given), *refused])
    return with_space(recipe, resolve(recipe)[0])


def _silence(document: dict[str, Any]) -> float:
    """Seconds that a plugin may take for an answer, as far as they are known before it is read."""
    search = document.get("search")
    field = Search.model_fields["silence"]
    try:
        return float(read(field, search.get("silence", field.default)))  # type: ignore[union-attr]
    except (AttributeError, ValueError):
        return float(field.default)


def read_document(
    document: dict[str, Any], given: Collection[str] = ()
) -> tuple[Recipe, list[Problem]]:
    """A document's recipe, its presets filled in, and all that is wrong with it; `given` by `--set`."""
    problems = [*odd_values(document)]
    problems += expand_presets(document, set(given))
    recipe, found = _record(document)
    problems = [*problems, *_still_news(found, problems)]
    problems += [*_still_news(check(recipe), problems)]
    return recipe, problems


def _override_all(
    document: dict[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Apply overrides in place; returns the text of each by its key, and those refused.

    A key comes before those within it, so that `prune.removal=mest` keeps the `prune.removal.gamma`
    that was given before it; of one key given twice the last counts.
    """
    given: dict[str, str] = {}
    refused: list[str] = []
    settings: list[tuple[str, Any, str]] = []
    for text in overrides:
        try:
            settings.append((*parse_override(text), text))
        except ValueError as error:
            refused.append(printable(f"--set {text}: {error}"))
    for path, value, text in sorted(settings, key=lambda setting: setting[0].count(".")):
        try:
            section, _, entry = path.partition(".")
            if section == "space" and entry:
                space = document.setdefault("space", {})
                if isinstance(space, dict):
                    for key in [key for key in space if same_entry(key, entry)]:
                        del space[key]
                    space |= flat_space({entry: value})
            else:
                override(document, path, value)
            if path == "plugins":
                files_from(Path.cwd(), document)
            places_from(Path.cwd(), document, path)
            given[path] = text
        except ValueError as error:
            refused.append(printable(f"--set {text}: {error}"))
    return given, refused


def _record(document: dict[str, Any]) -> tuple[Recipe, list[Problem]]:
    """Build the record; keys that are wrong fall back to defaults, so that the rest is checked."""
    problems: list[Problem] = []
    rest = copy.deepcopy(document)
    while True:
        try:
            return Recipe.model_validate(rest), problems
        except ValidationError as error:
            found = list(record_problems(error, rest))
        problems += found
        for problem in found:
            section, _, key = problem.path.partition(".")
            if problem.path in rest:  # a quoted key may have dots in it
                del rest[problem.path]
            elif key and key in rest.get(section, ()):
                del rest[section][key]
            else:
                rest.pop(section, None)


def _still_news(found: Iterable[Problem], told: Sequence[Problem]) -> Iterator[Problem]:
    """Leave out problems that may merely follow from one that is already reported."""
    wrong = {problem.path for problem in told}
    for problem in found:
        paths = (problem.path, *problem.also)
        if not any(reaches(bad, path) for bad in wrong for path in paths):
            yield problem
