"""What a table says: correlations of early signals, regrets of searches, and the noise under both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from hyperprune.bench.early import PREREGISTERED, Early
from hyperprune.bench.methods import BY_LOSS, Method, budget, default_method, methods
from hyperprune.bench.replay import Trace, narrow, regret_at, replay
from hyperprune.bench.signals import LOSS, Study
from hyperprune.bench.statistics import (
    Array,
    Interval,
    attainable,
    bootstrap,
    kendall,
    median,
    spearman,
)
from hyperprune.errors import RunError
from hyperprune.plugins.defaults import NAMES
from hyperprune.search.space import name_of

EARLY = 6
"""Epochs whose signals are held against the final loss."""
SMALLEST_GROUP = 5
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
    workers: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Everything measured on one table, as JSON values; the same study gives the same figures.

    `every` objective is replayed with every searcher, or as `methods` says. `raw`: the same table with
    exponents below the resolution taken at their word, to be shown beside. `learned`: the objective
    fitted on other tables.

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
    beside = {}
    if raw is not None:
        beside["raw"] = {"correlations": correlations(raw), "selection": selection(raw, pool)}
    return {
        "table": study.name,
        "facts": facts(study),
        "correlations": correlations(study),
        "selection": selection(study, pool),
        "replay": replays(study, compared, pool, seeds, workers=workers, report=report),
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
    for name, values in study.signals.items():
        found[name] = []
        for epoch in range(1, min(EARLY, study.epochs) + 1):
            signal = values[whole, epoch - 1]
            if np.ptp(signal) == 0:
                continue
            found[name].append(
                {
                    "epoch": epoch,
                    "spearman": bootstrap(spearman, signal, study.final[whole], seed=epoch).plain(),
                    "kendall": _round(kendall(signal, study.final[whole])),
                    "within": within_controls(study, signal),
                }
            )
    return found


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


def replays(
    study: Study,
    compared: Sequence[Method],
    candidates: int,
    seeds: int,
    *,
    workers: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Every method from every seed: regret in perplexity, top-3 share, regret over epochs."""
    limit = budget(study, candidates)
    grid = sorted({round(limit * share / 20) for share in range(2, 21)})
    found: dict[str, Any] = {}
    with _mapper(workers) as run:
        for method in compared:
            report(method.name)
            one = partial(replay, study, method, candidates)
            found[method.name] = _summary(study, method, list(run(one, range(seeds))), grid)
    return {
        "candidates": candidates,
        "seeds": seeds,
        "budget": _round(limit),
        "full_search": candidates * study.epochs,
        "grid": grid,
        "methods": found,
    }


@contextmanager
def _mapper(workers: int) -> Iterator[Callable[..., Iterable[Trace]]]:
    """`map`, over processes where there are several: replays are pure, so the result is the same."""
    if workers == 1:
        yield map
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield pool.map


def _summary(study: Study, method: Method, traces: list[Trace], grid: list[int]) -> dict[str, Any]:
    regrets = np.array([regret_at(study, trace, trace.epochs) for trace in traces])
    lost = np.array([study.final[trace.chosen] for trace in traces]) - study.final.min()
    top = set(np.argsort(study.final, kind="stable")[:3].tolist())
    curve = [
        None if any(math.isnan(value) for value in at) else _round(median(np.array(at)))
        for at in ([regret_at(study, trace, epochs) for trace in traces] for epochs in grid)
    ]
    met = [trace.met for trace in traces]
    interval: Interval = bootstrap(median, regrets, seed=0)
    return {
        "objective": method.early.name,
        "searcher": method.searcher,
        "hedge": method.hedge,
        "baseline": method.early == BY_LOSS,
        "default": method == default_method(),
        "epochs": _round(median(np.array([trace.epochs for trace in traces]))),
        "regret": interval.plain(),
        "mean_regret": _round(float(regrets.mean())),
        "regrets": [
            _round(value / study.noise) for value in lost
        ],  # by seed, in units of the noise
        "met": [None if epochs is None else _round(epochs) for epochs in met],
        "top3": _round(sum(trace.chosen in top for trace in traces) / len(traces)),
        "curve": curve,
    }


def shown_searches(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The searches that are shown, least regret first: random pools, the default searcher's, baselines.

    Of the baselines that stop after some epochs, the best alone; the JSON has all, of every searcher.
    """
    stops = {n: e["mean_regret"] for n, e in found.items() if n.startswith("stop after ")}
    best = min(stops, key=stops.__getitem__, default=None)
    shown = [
        (name, entry)
        for name, entry in found.items()
        if entry["searcher"] in (None, NAMES["searcher"]) and (name not in stops or name == best)
    ]
    return sorted(shown, key=lambda item: item[1]["mean_regret"])


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
