"""From a file or `--set` to a plain document, with where each key stands."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from hyperprune.errors import RecipeError
from hyperprune.recipe.problems import Problem, printable, show
from hyperprune.recipe.records import CHOICES

LARGEST = 1 << 18
"""Bytes of the longest file that is read; a recipe takes a few thousand."""
MOST = 5000  # values
DEEPEST = 16  # tables within tables

KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
DOTTED = rf"{KEY}(?:\s*\.\s*{KEY})*"
HEADER = re.compile(rf"\s*\[\s*({DOTTED})\s*\]")
ENTRY = re.compile(rf"\s*\[\[\s*({DOTTED})\s*\]\]")
ASSIGNMENT = re.compile(rf"\s*({DOTTED})\s*=")
PROSE = re.compile(
    r""""{3}(?:\\[\s\S]|[^\\])*?(?:"{3,5}|\Z)|'{3}[\s\S]*?(?:'{3,5}|\Z)"""
    r"""|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|\#[^\n]*"""
)
"""Strings and comments; one that is never closed goes on to its end, so that none is looked at twice."""


def read_text(path: Path) -> str:
    """Text of a recipe file; raises RecipeError where it cannot be one."""
    name = printable(str(path))
    try:
        if not path.is_file():
            raise RecipeError([f"{name}: not a file" if path.exists() else f"{name}: no such file"])
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError([f"{name}: cannot be read: {printable(str(reason))}"]) from None
    if len(content) > LARGEST:
        raise RecipeError([f"{name}: larger than {LARGEST} bytes; a recipe is a short TOML text"])
    try:
        text = content.decode("utf-8-sig")  # what some editors put first is no character
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RecipeError([f"{name}:{line}: not UTF-8 text (byte {error.start})"]) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise RecipeError([f"{name}:{line}: not UTF-8 text (a NUL: UTF-16, or no text at all)"])
    return text


def parse(text: str, source: str) -> dict[str, Any]:
    """Parse TOML; raises RecipeError with the line where it stops being TOML."""
    if number := _deep_key(text):
        raise RecipeError([f"{printable(source)}:{number}: nested too deeply"])
    try:
        document = tomllib.loads(text)
        _check_shape(document)
        return document
    except tomllib.TOMLDecodeError as error:
        raise RecipeError([f"{printable(source)}: not TOML: {printable(str(error))}"]) from None
    except RecursionError:
        raise RecipeError([f"{printable(source)}: nested too deeply"]) from None
    except _ShapeError as error:
        raise RecipeError([f"{printable(source)}: {error}"]) from None
    except ValueError as error:  # an integer of thousands of digits, an impossible date
        raise RecipeError([f"{printable(source)}: not TOML: {printable(str(error))}"]) from None


def lines_of(text: str) -> dict[str, int]:
    """Line of each dotted key and table, first mention wins; a guide for people, not a parser."""
    found: dict[str, int] = {}
    table = ""
    entries: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if entry := ENTRY.match(line):
            name = _plain(entry[1])
            entries[name] = entries.get(name, -1) + 1
            table = f"{name}.{entries[name]}"
            found.setdefault(table, number)
        elif header := HEADER.match(line):
            table = _plain(header[1])
            found.setdefault(table, number)
        elif assignment := ASSIGNMENT.match(line):
            key = _plain(assignment[1])
            found.setdefault(f"{table}.{key}" if table else key, number)
    return found


def line_for(path: str, lines: Mapping[str, int]) -> int | None:
    """Line of a key, or of the nearest table around it."""
    while path:
        if path in lines:
            return lines[path]
        path = path.rpartition(".")[0]
    return None


class _ShapeError(Exception):
    """A document that no person wrote."""


def _deep_key(text: str) -> int | None:
    """Line of a dotted key so long that reading it would take minutes."""
    keys = PROSE.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(keys.split("\n"), 1):
        parts = re.split(r"[={},]", line) if line.count(".") > 4 * DEEPEST else []
        if any(part.count(".") > 4 * DEEPEST for part in parts):
            return number
    return None


def _values(document: object) -> Iterator[tuple[str, Any, int]]:
    """Every value with its key and depth."""
    stack: list[tuple[str, Any, int]] = [("", document, 0)]
    while stack:
        path, value, depth = stack.pop()
        yield path, value, depth
        if isinstance(value, Mapping):
            inner = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
            stack += [(where, item, depth + 1) for where, item in inner]
        elif isinstance(value, list):
            stack += [(path, item, depth + 1) for item in value]


def _check_shape(document: Mapping[str, Any]) -> None:
    for count, (_, _, depth) in enumerate(_values(document)):
        if depth > DEEPEST:
            raise _ShapeError("nested too deeply")
        if count > MOST:
            raise _ShapeError(f"more than {MOST} values; a recipe is a short TOML text")


def odd_values(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what no recipe can use: dates, not-a-number, infinity, and from Python anything else."""
    for path, value, _ in _values(document):
        if isinstance(value, float) and not math.isfinite(value):
            yield Problem(path, f"found {value}; expected a finite number")
        elif isinstance(value, (date, time)):
            yield Problem(path, f"found {show(value)}; recipes hold no dates or times")
        elif value is None:
            yield Problem(path, "found None; leave the key out for its default")
        elif not isinstance(value, (str, bool, int, float, Mapping, list)):
            kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
            yield Problem(
                path, f"found {kind}; expected text, a number, true, false, a list or a table"
            )


def parse_override(text: str) -> tuple[str, Any]:
    """Split `prune.sparsity=0.8`; a bare word is a string; raises ValueError."""
    key, equals, raw = text.partition("=")
    key = key.strip()
    if not equals or not re.fullmatch(DOTTED, key):
        raise ValueError("expected KEY=VALUE, such as prune.sparsity=0.8")
    raw = raw.strip()
    try:
        document = parse(f"value = {raw}", "")
        if set(document) == {"value"}:
            return _plain(key), document["value"]
    except RecipeError:
        pass
    if raw == "" or raw[0] in "[{\"'" or not raw.isprintable():
        raise ValueError(f"found {show(raw)}; expected a TOML value or a bare word")
    return _plain(key), raw


def override(document: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted key in place; raises ValueError where the way leads through a plain value."""
    parts = path.split(".")
    node = document
    for depth, part in enumerate(parts[:-1]):
        child = node.setdefault(part, {})
        if isinstance(child, str) and depth == 1 and part in CHOICES.get(parts[0], ()):
            child = node[part] = {"name": child}  # an option of a control written by name alone
        if not isinstance(child, dict):
            raise ValueError(f"{'.'.join(parts[: depth + 1])} is {show(child)}, not a table")
        node = child
    node[parts[-1]] = value


PLACES = {"data": ("root",), "dense": ("run", "weights")}
"""Keys that name files and folders, by their section."""


def places_from(folder: Path, document: Mapping[str, Any], path: str = "") -> None:
    """Let relative places of a document count from a folder, in place: all, or those at or in `path`."""
    for section, keys in PLACES.items():
        table = document.get(section)
        if not isinstance(table, dict):
            continue
        for key in keys:
            place = table.get(key)
            asked = path in ("", section, f"{section}.{key}")
            if asked and isinstance(place, str) and place and not place.startswith("~"):
                table[key] = str(folder.absolute() / place)


def flat_space(space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Space entries by dotted key, whether written `"prune.removal"` or as tables in tables."""
    entries: dict[str, Any] = {}
    for key, value in space.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and not {"low", "high", "name"} & set(value):
            entries |= flat_space(value, f"{path}.")
        else:
            entries[path] = value
    return entries


def same_entry(a: str, b: str) -> bool:
    """Whether two space keys may name one setting: `removal` and `prune.removal`."""
    return a == b or a.endswith(f".{b}") or b.endswith(f".{a}")


def locate(
    problems: Iterable[Problem], source: str, text: str, overrides: Mapping[str, str]
) -> list[str]:
    """Problems as lines for a person, in the order of the file; those of `--set` come last."""
    lines = lines_of(text)
    located = []
    for problem in problems:
        line = line_for(problem.path, lines)
        where, order = (f"{source}:{line}" if line else source), (0, line or 0)
        for number, (key, given) in enumerate(overrides.items()):
            if _within(problem.path, key):
                where, order = f"--set {given}", (1, number)
                break
        located.append((order, printable(f"{where}: {problem.path}: {problem.message}")))
    return list(dict.fromkeys(text for _, text in sorted(located, key=lambda item: item[0])))


def _within(path: str, key: str) -> bool:
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")


def _plain(dotted: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(KEY, dotted))
