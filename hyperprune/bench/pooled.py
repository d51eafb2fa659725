"""Tables together: pooled regrets, and the rule that picks the default.

Sections 5 and 6 of benchmarks/tables/PREREGISTRATION.md, on the evidence of each table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hyperprune.bench.early import EXPLORATORY, PREREGISTERED
from hyperprune.bench.statistics import Array
from hyperprune.plugins.defaults import NAMES

RESAMPLES = 2000
GAIN = 0.7
"""Share of the baseline's regret that a default may have at most."""
HARM = 1.0
"""Regret above the baseline's on any one table, in units of its noise floor."""
CLOSE = 0.1
"""Regrets that count as equal when the simpler objective is chosen."""
LEAST_ROWS = 20
LEAST_FREEDOM = 4
LEAST_SPREAD = 3.0


def standing(found: Mapping[str, Any]) -> str:
    """What a table may decide: `primary`, or why it takes no part in the rule."""
    facts = found["facts"]
    if facts["configurations"] < LEAST_ROWS or facts["noise_degrees"] < LEAST_FREEDOM:
        return "partial"
    return "primary" if facts["spread_over_noise"] >= LEAST_SPREAD else "weak"


def pooled(tables: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Mean over tables of a method's mean regret, with a 95 % interval: method → [value, low, high].

    In units of each table's noise floor; only methods that every table has.
    """
    regrets = _regrets(tables)
    drawn = _resampled(regrets)
    return {
        name: [
            _round(np.mean([each.mean() for each in per_table])),
            *(_round(q) for q in np.quantile(drawn[name], [0.025, 0.975])),
        ]
        for name, per_table in regrets.items()
    }


def rule(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Which objective becomes the default, by the primary tables alone; None below two of them."""
    chosen = [found for found in tables if part(found) == "primary"]
    names = [found["table"] for found in chosen]
    if len(chosen) < 2:
        return {"tables": names, "default": None, "baseline": None, "eligible": []}
    regrets = _regrets(chosen)
    drawn = _resampled(regrets)
    means = {name: float(np.mean([r.mean() for r in each])) for name, each in regrets.items()}
    searcher = NAMES["searcher"]
    stops = [name for name in means if name.startswith("stop after ")]
    baseline = min([f"{PREREGISTERED[0].name}, {searcher}", *stops], key=means.__getitem__)
    order = [
        name
        for hedge in ("", "+hedge")
        for early in PREREGISTERED
        if (name := f"{early.name}{hedge}, {searcher}") in means
    ]
    order += [name for name in means if name.startswith("learned") and name.endswith(searcher)]
    eligible = [
        name
        for name in order
        if means[name] <= GAIN * means[baseline]
        and all(
            own.mean() <= other.mean() + HARM
            for own, other in zip(regrets[name], regrets[baseline], strict=True)
        )
        and np.quantile(drawn[name] - drawn[baseline], 0.95) < 0
    ]
    best = min((means[name] for name in eligible), default=0.0)
    default = next(
        (name for name in eligible if means[name] <= best + CLOSE), PREREGISTERED[0].name
    )
    return {"tables": names, "default": default, "baseline": baseline, "eligible": eligible}


def section(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What tables say together, as Markdown lines: pooled regrets, and what the rule decides."""
    yield "## The tables together\n"
    yield "| table | configurations | spread over noise | meet the target | takes part as |"
    yield "|---|---|---|---|---|"
    for found in tables:
        facts = found["facts"]
        yield (
            f"| `{found['table']}` | {facts['configurations']} | {facts['spread_over_noise']:.1f} | "
            f"{facts['meet_target']} | {part(found)} |"
        )
    yield (
        f"\nMean regret over {len(tables)} tables in units of their noise floors, with a 95 % interval "
        "(resamples of tables, then of seeds):\n"
    )
    yield "| search | mean | interval |"
    yield "|---|---|---|"
    means = pooled(tables)
    stops = [name for name in means if name.startswith("stop after ")]
    best = min(stops, key=lambda name: means[name][0], default=None)
    for name, (value, low, high) in sorted(means.items(), key=lambda item: item[1][0]):
        if name not in stops or name == best:
            yield f"| {name} | {value:.2f} | {low:.2f} … {high:.2f} |"
    decided = rule(tables)
    yield ""
    if decided["default"] is None:
        yield (
            "The rule of benchmarks/tables/PREREGISTRATION.md needs two primary tables and has "
            f"{len(decided['tables'])}: it decides nothing yet, and today's default is provisional."
        )
    else:
        eligible = ", ".join(decided["eligible"]) or "no objective"
        yield (
            f"By the rule of benchmarks/tables/PREREGISTRATION.md, on {', '.join(decided['tables'])}: "
            f"the baseline is {decided['baseline']}, eligible: {eligible}; the default is "
            f"{decided['default']}."
        )
    yield ""


def part(found: Mapping[str, Any]) -> str:
    """What a table takes part as; those that were there before the preregistration decide nothing."""
    return "exploratory" if found["table"] in EXPLORATORY else standing(found)


def _regrets(tables: Sequence[Mapping[str, Any]]) -> dict[str, list[Array]]:
    """Regrets by seed of every method that all tables have, one array a table."""
    first, *others = [found["replay"]["methods"] for found in tables]
    return {
        name: [np.array(each[name]["regrets"]) for each in (first, *others)]
        for name in first
        if all(name in each for each in others)
    }


def _resampled(regrets: Mapping[str, Sequence[Array]]) -> dict[str, Array]:
    """Pooled means in resamples of tables, then of seeds within each; the same draw for all methods."""
    rng = np.random.default_rng(0)
    sizes = [len(each) for each in next(iter(regrets.values()))]
    found: dict[str, Array] = {name: np.zeros(RESAMPLES) for name in regrets}
    for k in range(RESAMPLES):
        tables = rng.integers(0, len(sizes), len(sizes))
        seeds = [rng.integers(0, sizes[table], sizes[table]) for table in tables]
        for name, per_table in regrets.items():
            drawn = [per_table[t][s].mean() for t, s in zip(tables, seeds, strict=True)]
            found[name][k] = np.mean(drawn)
    return found


def _round(value: Any) -> float:
    return round(float(value), 4) + 0.0
