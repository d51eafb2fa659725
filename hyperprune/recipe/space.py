"""Which settings of a recipe may vary, the space it names, and a recipe with a configuration in it.

A key of `[space]` is a dotted recipe path (`prune.removal`, `train.lr`, `model.dropout`) or an end
of one (`removal`, `lr`) where only one setting has it. A path may go on into a control's own option
(`prune.removal.gamma`), which then counts only while the chosen control has that option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from hyperprune.errors import PluginError, RecipeError, nearest
from hyperprune.plugins import registry
from hyperprune.plugins.parameters import check_options, options_model
from hyperprune.recipe.domain import Range
from hyperprune.recipe.problems import Problem, expected, read, show
from hyperprune.recipe.records import CHOICES, Prune, Recipe, Train
from hyperprune.recipe.section import Choice
from hyperprune.search import space as spaces
from hyperprune.search.space import Configuration, Dimension, Space, Values, key_of, name_of

COMMON = {
    f"train.{key}"
    for key in (
        "epochs",
        "device",
        "threads",
        "precision",
        "eval_batch",
        "test_batch",
        "micro_batch",
    )
} | {f"prune.{key}" for key in ("active", "budget", "budget_dtype", "width")}
"""Settings that all candidates share: they say how and how long to train, not what."""


@dataclass(frozen=True)
class Setting:
    """Something that may vary: how to read a value of it, and the choice it hangs on."""

    path: str
    read: Callable[[object], Any]  # to a canonical JSON value; ValueError says what is wrong
    parent: str | None = None
    when: tuple[str, ...] = ()


def read_field(field: Any, value: object) -> Any:
    """Canonical JSON value of a plain field."""
    return as_lists(read(field, value))


def as_lists(value: Any) -> Any:
    """A value as JSON has it: its tuples are lists."""
    return [as_lists(item) for item in value] if isinstance(value, (tuple, list)) else value


def read_control(kind: str, value: object) -> Any:
    """Canonical form of a chosen control: its name, with the options that differ from defaults."""
    try:
        choice = Choice.model_validate(value)
        contribution = registry().get(kind, choice.name)
    except ValidationError:
        raise ValueError(f"found {show(value)}; expected {_CHOICE}") from None
    except PluginError as error:
        raise ValueError(str(error)) from None
    values, problems = check_options(contribution.target, choice.options)
    if problems:
        raise ValueError("; ".join(f"{choice.name}.{key}: {text}" for key, text in problems))
    defaults = {item.name: item.default for item in contribution.parameters}
    given = {key: as_lists(values[key]) for key in choice.options if values[key] != defaults[key]}
    return {"name": choice.name, **given} if given else choice.name


def settings(recipe: Recipe, chosen: Mapping[str, tuple[str, ...]]) -> dict[str, Setting]:
    """Everything that may vary, by path; `chosen` lists the controls that a key may take."""
    found: dict[str, Setting] = {}
    for section, record in (("prune", Prune), ("train", Train)):
        for key, field in record.model_fields.items():
            path = f"{section}.{key}"
            if path in COMMON or path == "prune.preset":
                continue
            kind = key if key in CHOICES.get(section, ()) else None
            reader = partial(read_control, kind) if kind else partial(read_field, field)
            found[path] = Setting(path, reader)
    for key, readers in _options("model", (recipe.model.name,)).items():
        found[f"model.{key}"] = Setting(f"model.{key}", readers[recipe.model.name])
    for kind in CHOICES["prune"]:
        parent = f"prune.{kind}"
        for key, readers in _options(kind, chosen[parent]).items():
            path = f"{parent}.{key}"
            found[path] = Setting(path, partial(_read_all, readers), parent, tuple(readers))
    return found


def resolve(recipe: Recipe) -> tuple[Space, list[Problem]]:
    """Read the recipe's space, and everything that is wrong with it."""
    problems: list[Problem] = []
    entries: dict[str, Any] = {}
    # Controls first: which options there are to vary depends on the controls to choose from.
    chosen: dict[str, tuple[str, ...]] = {
        f"prune.{kind}": (getattr(recipe.prune, kind).name,) for kind in CHOICES["prune"]
    }
    for key, domain in recipe.space.items():
        for path in chosen:
            if path == key or path.endswith(f".{key}"):
                chosen[path] = tuple(_names(domain))
    known = settings(recipe, chosen)
    for key, domain in recipe.space.items():
        matches = [path for path in known if path == key or path.endswith(f".{key}")]
        matches = [key] if key in matches else matches
        if len(matches) != 1:
            controls = [path for path in chosen if path.rpartition(".")[2] in key.split(".")]
            also = ("model.name", *controls)
            problems.append(Problem(f"space.{key}", _not_one(key, matches, known), also))
        elif matches[0] in entries:
            problems.append(Problem(f"space.{key}", f"{matches[0]} is named twice"))
        else:
            entries[matches[0]] = (key, domain)
    dimensions: list[Dimension] = []
    for path in sorted(entries, key=lambda path: known[path].parent is not None):
        key, domain = entries[path]
        setting = known[path]
        parent = setting.parent if setting.parent in entries else None
        own = {child.removeprefix(f"{path}.") for child in entries if known[child].parent == path}
        try:
            read_domain = _read_domain(domain, setting, recipe, own)
        except ValueError as error:
            lines = str(error).splitlines()
            also = (setting.parent,) if setting.parent else ()
            problems += [Problem(f"space.{key}", line, also) for line in lines]
            continue
        when = setting.when if parent else ()
        dimensions.append(Dimension(path, read_domain, parent, when))
    if problems:
        return Space(()), problems
    return Space(tuple(dimensions)), []


def space_of(recipe: Recipe) -> Space:
    """Return the space that a recipe names; raises RecipeError with everything wrong in it."""
    space, problems = resolve(recipe)
    if problems:
        raise RecipeError(f"{problem.path}: {problem.message}" for problem in problems)
    return space


def with_space(recipe: Recipe, space: Space) -> Recipe:
    """Return the recipe with its space written out: full paths, canonical values."""
    entries: dict[str, Range | tuple[Any, ...]] = {}
    for item in space.dimensions:
        if isinstance(item.domain, Values):
            entries[item.path] = item.domain.values
        else:
            entries[item.path] = Range(
                low=item.domain.low, high=item.domain.high, log=item.domain.log
            )
    return recipe.model_copy(update={"space": entries})


def apply(recipe: Recipe, configuration: Configuration) -> Recipe:
    """Return the candidate's own recipe: the settings in place, and nothing left to vary."""
    content = recipe.model_dump()
    content["space"], content["arms"] = {}, ()
    for path, value in sorted(configuration.items()):  # a control comes before its options
        section, key, *option = path.split(".") if "." in path else (path, "")
        part = content[section]
        if not key:  # another network, with its options
            content[section] = value
        elif option:
            part[key]["options"][option[0]] = value
        elif section == "model":
            part["options"][key] = value
        elif key in CHOICES.get(section, ()):
            part[key] = Choice.model_validate(value).model_dump()
        else:
            part[key] = value
    return Recipe.model_validate(content)


def default_configuration(recipe: Recipe) -> dict[str, Any] | None:
    """Return the configuration of the recipe's own values, or None where the space has it not."""
    space = space_of(recipe)
    configuration: dict[str, Any] = {}
    for dimension in space.dimensions:
        if not dimension.active(configuration):
            continue
        value = _own_value(recipe, dimension.path, space)
        if value not in dimension.domain:
            return None
        configuration[dimension.path] = value
    return configuration


def _own_value(recipe: Recipe, path: str, space: Space) -> Any:
    section, key, *option = path.split(".")
    if section == "model":
        return _option_value("model", recipe.model.name, recipe.model.options, key)
    value = getattr(getattr(recipe, section), key)
    if not isinstance(value, Choice):
        return as_lists(value)
    if option:
        return _option_value(key, value.name, value.options, option[0])
    own = {item.path.removeprefix(f"{path}.") for item in space.dimensions if item.parent == path}
    kept = {name: item for name, item in value.options.items() if name not in own}
    return read_control(key, {"name": value.name, **kept})


def _option_value(kind: str, name: str, options: Mapping[str, Any], key: str) -> Any:
    values, _ = check_options(registry().get(kind, name).target, options)
    return as_lists(values.get(key))


def _read_domain(domain: Any, setting: Setting, recipe: Recipe, own: set[str]) -> Any:
    """Domain with canonical values; raises ValueError, one line a problem."""
    if isinstance(domain, Range):
        low, high = setting.read(domain.low), setting.read(domain.high)
        if not all(
            isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high)
        ):
            raise ValueError("a range needs a number to vary; give a list")
        return spaces.Range(low, high, domain.log, isinstance(low, int) and isinstance(high, int))
    values, problems = [], []
    for value in domain:
        try:
            values.append(setting.read(_with_own_options(value, setting.path, recipe, own)))
            if clash := own & set(value if isinstance(value, Mapping) else ()):
                problems.append(f"{name_of(value)}: {min(clash)} has its own entry in the space")
        except ValueError as error:
            problems += str(error).splitlines()
    if not problems and len({key_of({"": value}) for value in values}) < len(values):
        problems.append("the list names a value twice")
    if problems:
        raise ValueError("\n".join(problems))
    return Values(tuple(values))


def _with_own_options(value: Any, path: str, recipe: Recipe, own: set[str]) -> Any:
    """A control listed by name alone keeps the options that the recipe gives it."""
    section, key, *rest = path.split(".")
    given = getattr(getattr(recipe, section), key, None)
    if rest or not isinstance(given, Choice) or value != given.name:
        return value
    kept = {name: item for name, item in given.options.items() if name not in own}
    return {"name": value, **kept}


def _options(kind: str, names: tuple[str, ...]) -> dict[str, dict[str, Callable[[object], Any]]]:
    """Options of the named plugins: key → plugin → reader; an unknown plugin has none."""
    found: dict[str, dict[str, Callable[[object], Any]]] = {}
    for name in names:
        try:
            target = registry().get(kind, name).target
        except PluginError:
            continue  # told where the name stands
        for key, field in options_model(target).model_fields.items():
            found.setdefault(key, {})[name] = partial(read_field, field)
    return found


def _read_all(readers: Mapping[str, Callable[[object], Any]], value: object) -> Any:
    """Read an option for every control that has it."""
    results = [reader(value) for reader in readers.values()]
    return results[0]


def _names(domain: Any) -> Iterator[str]:
    if not isinstance(domain, Range):
        for value in domain:
            if isinstance(value, str) or (isinstance(value, Mapping) and "name" in value):
                yield name_of(value)


def _not_one(key: str, matches: list[str], known: Mapping[str, Setting]) -> str:
    if matches:
        return f"could be {' or '.join(matches)}; write one in full"
    if [path for path in COMMON if path == key or path.endswith(f".{key}")]:
        return "cannot vary: it must be the same for every candidate"
    if key in ("preset", "prune.preset"):
        return (
            "a preset fills in controls, which vary by themselves; compare presets as arms: "
            '[[arms]] name = "rigl", prune.preset = "rigl"'
        )
    if key in ("seed", "seeds"):
        return "every candidate has the same; seeds = [1, 2, 3] at the top trains each from several"
    around = key.rpartition(".")[0]
    if [path for path in known if path == around or path.endswith(f".{around}")]:
        return (
            f"{around} has no {key.rpartition('.')[2]!r} to vary; a range is {{ low, high, log }}"
        )
    shorts = [path.rpartition(".")[2] for path in known]
    hint = nearest(key, [*known, *shorts]) or "; known: " + ", ".join(sorted(known))
    return f"names nothing that can vary{hint}"


_CHOICE = expected(Prune.model_fields["removal"])
