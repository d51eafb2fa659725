"""Several runs side by side: where their recipes differ, what came of each, and of like candidates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hyperprune.errors import RunError
from hyperprune.judgement.result import CandidateResult, named
from hyperprune.judgement.standing import Standing, open_run, recipe_of, standing
from hyperprune.terms.keys import dotted


@dataclass(frozen=True)
class Match:
    """One configuration that two runs or more have tried; None where a run has not."""

    configuration: Mapping[str, Any]
    candidates: tuple[CandidateResult | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs by name, the settings in which their recipes differ, and candidates matched."""

    names: tuple[str, ...]
    runs: tuple[Standing, ...]
    differences: Mapping[str, tuple[Any, ...]]  # by dotted path; None where a recipe has none
    matches: tuple[Match, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON, the values of each run under its metric's own name."""
        return {
            "names": list(self.names),
            "runs": [run.to_json() for run in self.runs],
            "differences": dict(self.differences),
            "matches": [
                {
                    "configuration": dict(match.configuration),
                    "candidates": [
                        None if item is None else named(asdict(item), run.metric)
                        for item, run in zip(match.candidates, self.runs, strict=True)
                    ],
                }
                for match in self.matches
            ],
        }


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare two runs or more; raises RunError where a folder is no run."""
    if len(folders) < 2:
        raise RunError("a comparison needs two runs or more")
    runs = tuple(standing(folder) for folder in folders)
    recipes = [recipe_of(open_run(folder)).model_dump(mode="json") for folder in folders]
    return Comparison(_names(folders), runs, _differences(recipes), _matches(runs, recipes))


def _names(folders: Sequence[Path]) -> tuple[str, ...]:
    """The folders' own names, or their paths where two share one."""
    names = [folder.resolve().name for folder in folders]
    return tuple(
        name if names.count(name) == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    )


def _experiment(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's settings by dotted path; its title is none."""
    return {path: value for path, value in dotted(recipe).items() if path != "title"}


def _differences(recipes: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    flat = [_experiment(recipe) for recipe in recipes]
    paths = dict.fromkeys(path for each in flat for path in each)
    found = {path: tuple(each.get(path) for each in flat) for path in paths}
    return {
        path: values
        for path, values in found.items()
        if any(value != values[0] for value in values)
    }


def _matches(runs: Sequence[Standing], recipes: Sequence[Mapping[str, Any]]) -> tuple[Match, ...]:
    tried: dict[str, list[CandidateResult | None]] = {}
    for number, (run, recipe) in enumerate(zip(runs, recipes, strict=True)):
        for item in run.candidates:
            # Where nothing was searched, a candidate is its recipe.
            said = item.configuration or {"": _experiment(recipe)}
            key = json.dumps(said, sort_keys=True, default=str)
            tried.setdefault(key, [None] * len(runs))[number] = item
    shared = [row for row in tried.values() if sum(item is not None for item in row) > 1]
    return tuple(
        Match(next(item for item in row if item is not None).configuration, tuple(row))
        for row in shared
    )
