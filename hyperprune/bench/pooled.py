"""Tables together: pooled regrets, and the rule that picks the default.

Sections 5 and 6 of benchmarks/tables/PREREGISTRATION.md, on the evidence of each table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperprune.bench.early import EXPLORATORY, PREREGISTERED, preregistered
from hyperprune.bench.resample import hierarchical, interval, of_noise, of_seeds
from hyperprune.bench.statistics import Array
from hyperprune.plugins.defaults import NAMES

GAIN = 0.7
"""Share of the baseline's regret that a default may have at most."""
HARM = 1.0
"""Regret above the baseline's on any one table, in units of its noise floor."""
CLOSE = 0.1
"""Regrets that count as equal when the simpler objective is chosen."""
ORDER = [item.name for item in PREREGISTERED]
ORDER.insert(ORDER.index(preregistered("after_learned").name), "learned")
"""Objectives as section 3 lists them: of those that are as good, the first is chosen."""
LEAST_ROWS = 20
LEAST_FREEDOM = 4
LEAST_SPREAD = 3.0


def standing(found: Mapping[str, Any]) -> str:
    """What a table may decide: `primary`, or why it takes no part in the rule."""
    facts = found["facts"]
    held = facts["configurations"] + facts["failed"]
    if held < LEAST_ROWS or facts["noise_degrees"] < LEAST_FREEDOM:
        return "partial"
    return "primary" if facts["spread_over_noise"] >= LEAST_SPREAD else "weak"


def pooled(tables: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Mean over tables of a method's mean regret, with a 95 % interval: method → [value, low, high].

    In units of each table's noise floor; only methods that every table has.
    """
    regrets = _regrets(tables)
    drawn = hierarchical([of_seeds(each) for each in regrets.values])
    return {
        name: [_round(np.mean(own)), *(_round(q) for q in interval(draws))]
        for name, own, draws in zip(regrets.names, regrets.means, drawn, strict=True)
    }


def anew(tables: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[float]]:
    """The same where every final loss is drawn anew with the noise: what seeds might have said instead."""
    statistics = []
    for found in tables:
        final, at = ends(found)
        finished = [
            [[at[row] for row in rows] for rows in found["replay"]["methods"][name]["finished"]]
            for name in names
        ]
        statistics.append(of_noise(finished, final, found["facts"]["noise"]))
    drawn = hierarchical(statistics)
    return {
        name: [_round(draws.mean()), *(_round(q) for q in interval(draws))]
        for name, draws in zip(names, drawn, strict=True)
    }


def ends(found: Mapping[str, Any]) -> tuple[Array, dict[int, int]]:
    """Final losses of the rows that trained to the end, and where each of these rows stands among them."""
    whole = [row for row, loss in enumerate(found["final"]) if loss is not None]
    return np.array([found["final"][row] for row in whole]), {r: k for k, r in enumerate(whole)}


def best_stop(tables: Sequence[Mapping[str, Any]]) -> str | None:
    """The baseline `stop after i` that loses least over all tables, chosen in hindsight."""
    regrets = _regrets(tables)
    means = dict(zip(regrets.names, regrets.means.mean(1), strict=True))
    stops = [name for name in means if name.startswith("stop after ")]
    return min(stops, key=means.__getitem__, default=None)


def rule(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Which objective becomes the default, by the primary tables alone; None below two of them."""
    chosen = [found for found in tables if part(found) == "primary"]
    names = [found["table"] for found in chosen]
    if len(chosen) < 2:
        return {"tables": names, "default": None, "baseline": None, "eligible": []}
    regrets = _regrets(chosen)
    at = {name: place for place, name in enumerate(regrets.names)}
    means = dict(zip(regrets.names, regrets.means.mean(1), strict=True))
    searcher = NAMES["searcher"]
    stop = best_stop(chosen)
    baselines = [f"{PREREGISTERED[0].name}, {searcher}", *([stop] if stop else [])]
    baseline = min(baselines, key=means.__getitem__)
    beyond = [each - each[at[baseline]] for each in regrets.values]  # of seeds, paired
    drawn = hierarchical([of_seeds(each) for each in beyond])
    order = [
        name
        for hedge in ("", "+hedge")
        for objective in ORDER
        if (name := f"{objective}{hedge}, {searcher}") in means
    ]
    eligible = [
        name
        for name in order
        if means[name] <= GAIN * means[baseline]
        and (regrets.means[at[name]] <= regrets.means[at[baseline]] + HARM).all()
        and np.quantile(drawn[at[name]], 0.95) < 0
    ]
    best = min((means[name] for name in eligible), default=0.0)
    default = next(
        (name for name in eligible if means[name] <= best + CLOSE), PREREGISTERED[0].name
    )
    return {"tables": names, "default": default, "baseline": baseline, "eligible": eligible}


def part(found: Mapping[str, Any]) -> str:
    """What a table takes part as; those that were there before the preregistration decide nothing."""
    return "exploratory" if found["table"] in EXPLORATORY else standing(found)


@dataclass(frozen=True)
class _Regrets:
    """Regrets of the M methods that all tables have: by table (M, S), and each table's means (M, T)."""

    names: list[str]
    values: list[Array]

    @property
    def means(self) -> Array:
        return np.stack([each.mean(1) for each in self.values], axis=1)


def _regrets(tables: Sequence[Mapping[str, Any]]) -> _Regrets:
    methods = [found["replay"]["methods"] for found in tables]
    names = [name for name in methods[0] if all(name in each for each in methods)]
    return _Regrets(names, [np.array([each[n]["regrets"] for n in names]) for each in methods])


def _round(value: Any) -> float:
    return round(float(value), 4) + 0.0
