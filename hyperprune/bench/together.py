"""What tables say together, as Markdown: pooled regrets, hedging, the hypotheses, the rule's answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hyperprune.bench.hypotheses import LEVEL, Tested, Verdict, verdicts
from hyperprune.bench.pooled import anew, best_stop, part, pooled, rule
from hyperprune.bench.resample import hierarchical, interval, of_seeds
from hyperprune.plugins.defaults import NAMES

RULES = "benchmarks/tables/PREREGISTRATION.md"


def section(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Everything that more than one table tells."""
    yield "## The tables together\n"
    yield "| table | configurations | spread over noise | meet the target | takes part as |"
    yield "|---|---|---|---|---|"
    for found in tables:
        facts = found["facts"]
        yield (
            f"| `{found['table']}` | {facts['configurations']} | {facts['spread_over_noise']:.1f} | "
            f"{facts['meet_target']} | {part(found)} |"
        )
    yield ""
    yield from decision(tables)
    primary = [found for found in tables if part(found) == "primary"]
    if len(primary) > 1:
        yield "\n### Regrets on the primary tables\n"
        yield from _regrets(primary)
    yield "\n### Regrets on all tables\n"
    yield "The secondary pool, which decides nothing.\n"
    yield from _regrets(tables)
    yield "\n### What hedging costs, and whom a rescue saves\n"
    yield from _hedging(tables)
    yield "\n### The seven hypotheses\n"
    yield from _hypotheses(verdicts(tables), [found["table"] for found in tables])
    yield ""


def decision(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the rule says on these tables."""
    decided = rule(tables)
    if decided["default"] is None:
        yield (
            f"The rule of {RULES} needs two primary tables and has "
            f"{len(decided['tables'])}: it decides nothing yet, and today's default is provisional."
        )
    else:
        eligible = ", ".join(decided["eligible"]) or "no objective"
        yield (
            f"By the rule of {RULES}, on {', '.join(decided['tables'])}: the baseline is "
            f"{decided['baseline']}, eligible: {eligible}; the default is {decided['default']}."
        )


def _regrets(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield (
        f"Mean regret over {len(tables)} tables in units of their noise floors, with a 95 % interval "
        "(resamples of tables, then of seeds); the same where every final loss is drawn anew with the "
        "noise of seeds; and each table by itself.\n"
    )
    names = [f"`{found['table']}`" for found in tables]
    yield f"| search | mean | interval | noise drawn anew | {' | '.join(names)} |"
    yield f"|---|---|---|---|{'---|' * len(names)}"
    means = pooled(tables)
    best = best_stop(tables)
    shown = [
        name
        for name in sorted(means, key=lambda name: means[name][0])
        if not name.startswith("stop after ") or name == best
    ]
    noisy = anew(tables, shown)
    alone = [pooled([found]) for found in tables]
    for name in shown:
        value, low, high = means[name]
        other, below, above = noisy[name]
        each = [f"{v:.2f} ({lo:.2f} … {hi:.2f})" for v, lo, hi in (own[name] for own in alone)]
        yield (
            f"| {name} | {value:.2f} | {low:.2f} … {high:.2f} | {other:.2f} ({below:.2f} … {above:.2f})"
            f" | {' | '.join(each)} |"
        )


def _hedging(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "Regret of every objective in units of the noise floor, mean over tables, without a hedge; what "
        "the hedge changes, with a 95 % interval; what `final.rescue` changes and the share of an "
        "unhedged search's epochs that it adds, where a network that went out with a lower loss than any "
        "that finished is trained on (hedged searches hardly ever leave one out).\n"
    )
    yield "| objective | proposed by | regret | hedge changes | rescue changes | epochs of the rescue |"
    yield "|---|---|---|---|---|---|"
    methods = [found["replay"]["methods"] for found in tables]
    rescued = 0.0
    for name, entry in methods[0].items():
        hedged = f"{entry['objective']}+hedge, {name.rpartition(', ')[2]}"
        if entry["hedge"] or not all(name in each and hedged in each for each in methods):
            continue
        if entry["searcher"] not in (None, NAMES["searcher"]):
            continue
        own, other, saved, cost = (
            [np.array(each[search][key]) for each in methods]
            for search, key in (
                (name, "regrets"),
                (hedged, "regrets"),
                (name, "rescued"),
                (name, "rescue"),
            )
        )
        rescued += sum(each.sum() for each in cost)
        share = np.mean(
            [c.mean() / each[name]["epochs"] for c, each in zip(cost, methods, strict=True)]
        )
        yield (
            f"| {entry['objective']} | {name.rpartition(', ')[2]} | "
            f"{np.mean([v.mean() for v in own]):.2f} | "
            f"{_change([b - a for a, b in zip(own, other, strict=True)])} | "
            f"{_change([b - a for a, b in zip(own, saved, strict=True)])} | {share:.0%} |"
        )
    if rescued == 0:
        yield (
            "\nNone of these let go of a network whose loss was then below the end of all that it finished: "
            "a rescue would have trained nobody, so these tables tell nothing of it."
        )


def _change(by_table: Sequence[Any]) -> str:
    """Mean change by seed of every table, with its interval."""
    low, high = interval(hierarchical([of_seeds(each[None]) for each in by_table])[0])
    value = np.mean([each.mean() for each in by_table])
    return f"{value:+.2f} ({low + 0.0:.2f} … {high + 0.0:.2f})"


def _hypotheses(found: Sequence[Verdict], names: Sequence[str]) -> Iterator[str]:
    yield (
        f"Those of {RULES}, section 5, on the primary tables, one-sided at {LEVEL:.0%}, with Holm's "
        "correction over the seven (one that cannot be tested counts as p = 1 there). A claim is one or "
        "more effects that lie below a bound, and holds where all of them do. Effects of regret are in "
        "units of the noise floor, by the default searcher; the columns of tables are each table's own "
        "effect with its 95 % interval. What exploratory tables show there tests nothing.\n"
    )
    for each in found:
        p = "" if each.p is None else f" (p = {each.p:.4f}, corrected {each.adjusted:.4f})"
        why = f": {each.why}" if each.why else ""
        yield f"{each.number}. {each.claim}. **{each.standing.capitalize()}**{why}{p}."
    columns = " | ".join(f"`{name}`" for name in names)
    yield f"\n| | effect | below | pooled | p | {columns} |"
    yield f"|---|---|---|---|---|{'---|' * len(names)}"
    for each in found:
        for tested in each.parts:
            yield f"| {each.number} | {_effect(tested, names)}"


def _effect(tested: Tested, names: Sequence[str]) -> str:
    cells = [_cell(tested.tables.get(name)) for name in names]
    p = "–" if tested.pooled is None else f"{tested.p:.4f}"
    part = tested.part
    return f"{part.what} | {part.bound:g} | {_cell(tested.pooled)} | {p} | {' | '.join(cells)} |"


def _cell(effect: tuple[float, float, float] | None) -> str:
    if effect is None:
        return "–"
    value, low, high = effect
    return f"{value:.2f} ({low:.2f} … {high:.2f})"
