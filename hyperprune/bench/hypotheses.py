"""The seven hypotheses of benchmarks/tables/PREREGISTRATION.md, section 5, each tested one-sided at 5 %.

A claim is one or more inequalities, each an effect that lies below a bound. An inequality's p is the share
of resamples in which it fails; a claim holds only where all of its inequalities do, so its p is the largest
of them, and Holm's correction goes over the seven. Effects of regret are in units of the noise floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator

from hyperprune.bench.early import PREREGISTERED
from hyperprune.bench.evidence import EXPLORED
from hyperprune.bench.pooled import best_stop, ends, part
from hyperprune.bench.resample import Statistic, hierarchical, interval, of_configurations, of_seeds
from hyperprune.bench.statistics import Array, spearman
from hyperprune.plugins.defaults import NAMES

LEVEL = 0.05
LEAST_TABLES = 2
TRAINING = "ptb_training"
"""The table whose space has training hyper-parameters in it."""

Found: TypeAlias = Mapping[str, Any]
Effect: TypeAlias = Callable[[Found], tuple[float, Statistic]]
"""What a table says of an effect, and how to draw it anew; KeyError where the table lacks a search."""


@dataclass(frozen=True)
class Part:
    """An inequality: the effect lies below the bound, pooled; or on one table; or on `each` of them."""

    what: str
    effect: Effect
    bound: float
    table: str | None = None
    each: bool = False


@dataclass(frozen=True)
class Tested:
    """An inequality's effect, its 95 % interval and p; pooled, and on every table by itself."""

    part: Part
    pooled: tuple[float, float, float] | None
    p: float
    tables: Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Verdict:
    """What came of a hypothesis; without a p where it could not be tested, and `why`."""

    number: int
    claim: str
    parts: tuple[Tested, ...]
    p: float | None = None
    adjusted: float | None = None
    why: str = ""

    @property
    def standing(self) -> str:
        """In a word or two."""
        if self.adjusted is None:
            return "not testable"
        return "holds" if self.adjusted <= LEVEL else "not shown"


def hypotheses(tables: Sequence[Found]) -> list[tuple[int, str, list[Part]]]:
    """The seven, as inequalities; `tables` tell which i stops best, in hindsight."""
    searcher = NAMES["searcher"]
    loss = f"loss, {searcher}"
    stop = best_stop(tables) or "stop after i"
    hedged = [item.name for item in PREREGISTERED if item.name != "loss"]
    if all(f"learned, {searcher}" in found["replay"]["methods"] for found in tables):
        hedged.append("learned")

    def cost(name: str) -> Effect:
        return regret(f"{name}+hedge, {searcher}", f"{name}, {searcher}")

    return [
        (
            1,
            "Clipping helps: at epoch 3 `distance` ranks the end better than `distance_raw`",
            [Part("raw less clipped correlation", rank("distance_raw", "distance"), 0.0)],
        ),
        (
            2,
            "Where training hyper-parameters vary, `distance` and `both` lose more than `loss` by over 1 σ",
            [
                Part(f"loss less {name}", regret(loss, f"{name}, {searcher}"), -1.0, TRAINING)
                for name in ("distance", "both")
            ],
        ),
        (
            3,
            "`gated` loses less than `loss`, and on no table more by over 0.5 σ",
            [
                Part("gated less loss", regret(f"gated, {searcher}", loss), 0.0),
                Part("the same on each table", regret(f"gated, {searcher}", loss), 0.5, each=True),
            ],
        ),
        (
            4,
            "Hedging costs no objective more than 0.2 σ, and lowers the regret of `distance`",
            [
                *(Part(f"{name}: hedged less not", cost(name), 0.2) for name in hedged),
                Part("distance, to be lowered", cost("distance"), 0.0),
            ],
        ),
        (
            5,
            "Stopping after the best i is no worse than halving by `loss`, by 0.5 σ",
            [Part(f"{stop} less loss", regret(stop, loss), 0.5)],
        ),
        (
            6,
            "`lost` and exploration alone say little: correlations at epoch 3 within ±0.2",
            [
                Part(f"{sign}{name}", rank(name, sign=sign), 0.2)
                for name in ("lost", EXPLORED)
                for sign in ("", "−")
            ],
        ),
        (
            7,
            "`relative` ranks the end better than `loss` at epoch 3",
            [Part("correlation of loss less that of relative", rank("loss", "relative"), 0.0)],
        ),
    ]


def regret(search: str, other: str) -> Effect:
    """Mean regret of a search less that of another, by seed."""

    def of(found: Found) -> tuple[float, Statistic]:
        methods = found["replay"]["methods"]
        gap = np.array(methods[search]["regrets"]) - np.array(methods[other]["regrets"])
        return float(gap.mean()), of_seeds(gap[None])

    return of


def rank(name: str, other: str | None = None, *, sign: str = "") -> Effect:
    """An objective's correlation with the end, negative with a sign, or less that of another."""

    def of(found: Found) -> tuple[float, Statistic]:
        names = [name] if other is None else [name, other]
        order = np.array([found["objectives"][each]["ranks"] for each in names])
        final = ends(found)[0]
        drawn = of_configurations(order, final)

        def combined(values: Array) -> Array:
            gap: Array = values[:1] if other is None else values[:1] - values[1:]
            return -gap if sign else gap

        def anew(rng: Generator, count: int) -> Array:
            return combined(drawn(rng, count))

        own = np.nan_to_num(np.array([[spearman(each, final)] for each in order]))
        return float(combined(own)[0, 0]), anew

    return of


def verdicts(tables: Sequence[Found]) -> list[Verdict]:
    """Test the seven on the primary tables; the others' own effects stand beside."""
    primary = [found for found in tables if part(found) == "primary"]
    tested = [_verdict(*item, primary, tables) for item in hypotheses(primary or tables)]
    adjusted = holm([1.0 if each.p is None else each.p for each in tested])
    return [
        each if each.p is None else Verdict(each.number, each.claim, each.parts, each.p, corrected)
        for each, corrected in zip(tested, adjusted, strict=True)
    ]


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm (1979), in the order given."""
    found, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        found[index] = largest
    return found


def _verdict(
    number: int,
    claim: str,
    parts: Sequence[Part],
    primary: Sequence[Found],
    tables: Sequence[Found],
) -> Verdict:
    names = [found["table"] for found in primary]
    tested = tuple(_tested(each, primary, tables) for each in parts)
    wanted = {each.table for each in parts} - {None, *names}
    if wanted:
        why = f"no primary table `{wanted.pop()}`"
    elif None in {each.table for each in parts} and len(primary) < LEAST_TABLES:
        why = f"the primary pool has {len(primary)} of the {LEAST_TABLES} tables that it takes"
    elif any(each.pooled is None for each in tested):
        why = "a primary table was not replayed with all that is compared (`bench report --every`)"
    else:
        return Verdict(number, claim, tested, max(each.p for each in tested))
    return Verdict(number, claim, tested, why=why)


def _tested(wanted: Part, primary: Sequence[Found], tables: Sequence[Found]) -> Tested:
    """An inequality on the primary tables that it speaks of, and on every table by itself."""
    alone = {}
    for found in tables:
        if wanted.table in (None, found["table"]) and (own := _drawn(wanted, [found])):
            alone[found["table"]] = own
    chosen = [found for found in primary if wanted.table in (None, found["table"])]
    together = _drawn(wanted, chosen) if chosen else None
    shown = {name: _shown(*own) for name, own in alone.items()}
    if together is None:
        return Tested(wanted, None, 1.0, shown)
    p = fails(together[1], wanted.bound)
    if wanted.each:
        p = max(fails(alone[found["table"]][1], wanted.bound) for found in chosen)
    return Tested(wanted, _shown(*together), p, shown)


def _drawn(wanted: Part, tables: Sequence[Found]) -> tuple[float, Array] | None:
    """An effect's mean over tables and its draws; None where a table lacks what is compared."""
    try:
        effects = [wanted.effect(found) for found in tables]
    except KeyError:
        return None
    return float(np.mean([own for own, _ in effects])), hierarchical([s for _, s in effects])[0]


def _shown(value: float, draws: Array) -> tuple[float, float, float]:
    low, high = interval(draws)
    return value, low, high


def fails(draws: Array, bound: float) -> float:
    """p of an effect that should lie below a bound: the share of resamples in which it does not."""
    return float((1 + (draws >= bound).sum()) / (1 + len(draws)))
