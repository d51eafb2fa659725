"""What a table says: correlations of early signals and objectives, and the noise under both."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hyperprune.bench.early import PREREGISTERED, Early, sensitivities
from hyperprune.bench.methods import Method, by, methods
from hyperprune.bench.replay import narrow, regret_at
from hyperprune.bench.signals import LOSS, Study
from hyperprune.bench.statistics import (
    Array,
    Correlated,
    attainable,
    kendall,
    median,
    ranks,
    spearman,
)
from hyperprune.bench.summary import Mapper, replayed, replays
from hyperprune.errors import RunError
from hyperprune.search.space import name_of

EARLY = 6
"""Epochs whose signals are held against the final loss."""
SMALLEST_GROUP = 5
JUDGED = 8
"""Epochs after which objectives are held against it."""
HYPOTHESES = 3
"""The epoch of the hypotheses: after it each objective's order of all configurations is kept."""
EXPLORED = "exploration"
"""The share that networks explored, as it is: no score, and no objective of the list."""
POOLS = 100
"""Random pools that every signal halves: the same pools for all."""


def evidence(
    study: Study,
    *,
    seeds: int = 20,
    candidates: int | None = None,
    searchers: Sequence[str] | None = None,
    every: bool = False,
    raw: Study | None = None,
    learned: Early | None = None,
    mapped: Mapper = map,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Everything measured on one table, as JSON values; the same study gives the same figures.

    `every` objective is replayed with every searcher, or as `methods` says. `raw`: the same table with
    exponents below the resolution taken at their word, to be shown beside. `learned`: the objective
    fitted on other tables. `mapped`: what replays seeds, one after another or side by side.

    Raises RunError for a table without repeats: no figure stands without its noise floor.
    """
    if math.isnan(study.noise):
        raise RunError(
            f"table {study.name!r} has no configuration trained from several seeds, so no noise "
            "floor; make it with --repeated and --seeds"
        )
    pool = candidates or max(12, len(study.rows) // 3)
    objectives = PREREGISTERED if learned is None else (*PREREGISTERED, learned)
    compared = methods(study, searchers, objectives=objectives, every=every)
    sensitive = sensitive_methods(study)
    every_method = [*compared, *sensitive.values()]
    # Replays are most of the work: other processes are at them while this one counts the rest.
    traced = replayed(study, every_method, pool, seeds, mapped=mapped)
    beside = {}
    if raw is not None:
        beside["raw"] = {"correlations": correlations(raw), "selection": selection(raw, pool)}
    figures = {
        "table": study.name,
        "facts": facts(study),
        "final": [_round(loss) if np.isfinite(loss) else None for loss in study.final],
        "correlations": correlations(study),
        "selection": selection(study, pool),
        "objectives": judged(study, objectives),
    }
    found = replays(study, every_method, pool, seeds, traced, report=report)
    return {
        **figures,
        "replay": {**found, "methods": {m.name: found["methods"][m.name] for m in compared}},
        "sensitivity": sensitivity(study, sensitive, found["methods"]),
        **beside,
    }


def facts(study: Study) -> dict[str, Any]:
    """What the table holds, how far apart its configurations end, and how noisy that is."""
    whole = study.whole
    ppl, final = study.perplexity[whole], study.final[whole]
    loss = study.signals[LOSS][whole]
    default = [k for k in whole if study.rows[k].role == "default"]
    return {
        "configurations": len(whole),
        "failed": len(study.rows) - len(whole),
        **({"missing": study.missing} if study.missing else {}),
        "epochs": study.epochs,
        "dense": _round(math.exp(study.target)),
        "meet_target": int((final <= study.target).sum()),
        "measuring": _round(study.measuring),
        "spread_over_noise": _round(final.std(ddof=1) / study.noise),
        "best": _round(ppl.min()),
        "best_configuration": dict(study.rows[whole[int(ppl.argmin())]].configuration),
        "median": _round(median(ppl)),
        "worst": _round(ppl.max()),
        "default": _round(study.perplexity[default[0]]) if default else None,
        "noise": _round(study.noise),
        "noise_perplexity": _round(study.noise * median(ppl)),
        "noise_degrees": study.repeats,
        "within_noise_of_best": int((final <= final.min() + study.noise).sum()),
        "attainable_correlation": _round(attainable(final, study.noise, seed=0)),
        # Convergence: how many average at the end, and how much the median still moved in the last step.
        "averaging": int(study.averaging[whole, -1].sum()),
        "last_change": _round(median(np.abs(loss[:, -1] - loss[:, -2]))),
        "own_distance": study.own_distance,
    }


def correlations(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Each signal at each early epoch against the final loss, over all and within controls."""
    found: dict[str, list[dict[str, Any]]] = {}
    whole = study.whole
    ends = {epoch: _end(study, epoch) for epoch in range(1, min(EARLY, study.epochs) + 1)}
    for name, values in study.signals.items():
        found[name] = []
        for epoch, end in ends.items():
            signal = values[whole, epoch - 1]
            if np.ptp(signal) == 0:
                continue
            found[name].append(
                {
                    "epoch": epoch,
                    "spearman": end.spearman(signal).plain(),
                    "kendall": _round(kendall(signal, study.final[whole])),
                    "within": within_controls(study, signal),
                }
            )
    return found


def judged(study: Study, objectives: Sequence[Early]) -> dict[str, dict[str, Any]]:
    """Each objective's correlation with the final loss by epoch, with intervals over configurations.

    An objective scores all configurations that trained to the end, as if they were one pool; null where
    it cannot tell any two apart. `ranks` are its order after the epoch of the hypotheses.
    """
    rows = study.whole
    epochs = range(1, min(JUDGED, study.epochs) + 1)
    scored = {e.name: [np.array(e.scores(study, rows, k)) for k in epochs] for e in objectives}
    scored[EXPLORED] = [study.exploration[rows, k - 1] for k in epochs]
    return {
        name: {
            "spearman": [_against_end(study, v, k) for k, v in zip(epochs, found, strict=True)],
            "ranks": ranks(found[min(HYPOTHESES, len(epochs)) - 1]).tolist(),
        }
        for name, found in scored.items()
    }


def _against_end(study: Study, scores: Array, epoch: int) -> list[float] | None:
    """Spearman's correlation of the rows' scores with their final losses, with its interval."""
    if np.ptp(scores) == 0:
        return None
    return _end(study, epoch).spearman(scores).plain()


@functools.cache
def _end(study: Study, epoch: int) -> Correlated:
    """Final losses, to hold against them what is known after an epoch."""
    return Correlated(study.final[study.whole], seed=epoch)


def sensitive_methods(study: Study) -> dict[Early, Method]:
    """What is not eligible to become the default, on the random pools that all methods have."""
    shown = {"full", *study.signals}
    return {early: by(early, None) for early in sensitivities() if early.shown in shown}


def sensitivity(
    study: Study, sensitive: Mapping[Early, Method], found: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Correlations and regrets of what is not eligible; `found` are the replays' figures by method."""
    epoch = min(HYPOTHESES, study.epochs)
    return {
        early.name: {
            "spearman": _against_end(
                study, np.array(early.scores(study, study.whole, epoch)), epoch
            ),
            **{key: found[method.name][key] for key in ("mean", "regrets")},
        }
        for early, method in sensitive.items()
    }


def within_controls(study: Study, signal: Array) -> dict[str, float]:
    """Mean correlation among configurations that share a control, for each control.

    signal: of the rows that trained to the end, in their order.
    """
    found = {}
    final = study.final[study.whole]
    for dimension in study.space.dimensions:
        groups: dict[str, list[int]] = {}
        for index, row in enumerate(study.whole):
            configuration = study.rows[row].configuration
            if dimension.path in configuration:
                value = configuration[dimension.path]
                groups.setdefault(name_of(value), []).append(index)
        large = [group for group in groups.values() if len(group) >= SMALLEST_GROUP]
        pairs = [(spearman(signal[group], final[group]), len(group)) for group in large]
        known = [(value, weight) for value, weight in pairs if not math.isnan(value)]
        if len(known) > 1:
            mean = sum(v * w for v, w in known) / sum(w for _, w in known)
            found[dimension.path] = _round(mean)
    return found


def selection(study: Study, candidates: int) -> dict[str, list[float]]:
    """Mean regret and its standard error when a signal alone halves a random pool, each signal."""
    found = {}
    for name in study.signals:
        traces = [narrow(study, name, candidates, seed) for seed in range(POOLS)]
        regrets = np.array([regret_at(study, trace, trace.epochs) for trace in traces])
        found[name] = [_round(regrets.mean()), _round(regrets.std(ddof=1) / POOLS**0.5)]
    return found


def best_signals(found: Mapping[str, Any], epoch: int) -> list[tuple[str, list[float]]]:
    """Signals at an epoch, the best correlated first."""
    at = [
        (name, entry["spearman"])
        for name, entries in found["correlations"].items()
        for entry in entries
        if entry["epoch"] == epoch
    ]
    return sorted(at, key=lambda item: -item[1][0])


def _round(value: Any) -> float:
    return round(float(value), 4) + 0.0
