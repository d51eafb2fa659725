"""Searches replayed on a table from many seeds, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np

from hyperprune.bench.methods import BY_LOSS, Method, budget, default_method
from hyperprune.bench.replay import Asked, Trace, regret_at, replay
from hyperprune.bench.signals import Study
from hyperprune.bench.statistics import Interval, bootstrap, mean, median
from hyperprune.plugins.defaults import NAMES
from hyperprune.runtime.allocation import keep_freed_memory

Mapper: TypeAlias = Callable[..., Iterable[Any]]
"""`map`, as it is or over processes."""


def replayed(
    study: Study,
    compared: Sequence[Method],
    candidates: int,
    seeds: int,
    *,
    mapped: Mapper = map,
) -> Iterable[list[Trace]]:
    """Traces of every method, seed by seed; over processes they are under way once this returns."""
    return mapped(partial(_all, study, compared, candidates), range(seeds))


def replays(
    study: Study,
    compared: Sequence[Method],
    candidates: int,
    seeds: int,
    traced: Iterable[list[Trace]],
    *,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Every method from every seed: regret in perplexity, top-3 share, regret over epochs."""
    limit = budget(study, candidates)
    grid = sorted({round(limit * share / 20) for share in range(2, 21)})
    by_seed: list[list[Trace]] = []
    for traces in traced:
        by_seed.append(traces)
        report(f"{study.name}: {len(by_seed)} of {seeds} seeds")
    found = {
        method.name: _summary(study, method, [traces[k] for traces in by_seed], grid, limit)
        for k, method in enumerate(compared)
    }
    return {
        "candidates": candidates,
        "seeds": seeds,
        "budget": _round(limit),
        "full_search": candidates * study.epochs,
        "grid": grid,
        "methods": found,
    }


def _all(study: Study, compared: Sequence[Method], candidates: int, seed: int) -> list[Trace]:
    """Replay every method from one seed; what one has asked of a searcher, the next need not."""
    asked: Asked = {}
    return [replay(study, method, candidates, seed, asked) for method in compared]


@contextmanager
def processes(workers: int) -> Iterator[Mapper]:
    """`map`, over processes where there are several: replays are pure, so the result is the same."""
    if workers == 1:
        yield map
    else:
        fresh = get_context("spawn")
        with ProcessPoolExecutor(workers, fresh, initializer=keep_freed_memory) as pool:
            yield pool.map


def _summary(
    study: Study, method: Method, traces: list[Trace], grid: list[int], limit: float
) -> dict[str, Any]:
    regrets = np.array([regret_at(study, trace, trace.epochs) for trace in traces])
    lost = np.array([study.final[trace.chosen] for trace in traces]) - study.final.min()
    rescued = [
        min(t.finished + t.rescued or (t.chosen,), key=lambda row: study.final[row]) for t in traces
    ]
    saved = np.array([study.final[row] for row in rescued]) - study.final.min()
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
        "mean": bootstrap(mean, regrets, seed=0).plain(),
        # By seed, in units of the noise: what it chose, and would have with whom it rescued.
        "regrets": [_round(value / study.noise) for value in lost],
        "rescued": [_round(value / study.noise) for value in saved],
        "rescue": [_round(trace.rescue) for trace in traces],
        "finished": [list(trace.finished) for trace in traces],
        "met": [None if epochs is None else _round(epochs) for epochs in met],
        "met_epochs": _round(np.mean([limit if epochs is None else epochs for epochs in met])),
        "top3": _round(sum(trace.chosen in top for trace in traces) / len(traces)),
        "curve": curve,
    }


def shown_searches(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The searches that are shown, least regret first: random pools, the default searcher's, baselines.

    Of the baselines that stop after some epochs, the best alone; the JSON has all, of every searcher.
    """
    stops = {n: e["mean"][0] for n, e in found.items() if n.startswith("stop after ")}
    best = min(stops, key=stops.__getitem__, default=None)
    shown = [
        (name, entry)
        for name, entry in found.items()
        if entry["searcher"] in (None, NAMES["searcher"]) and (name not in stops or name == best)
    ]
    return sorted(shown, key=lambda item: item[1]["mean"][0])


def _round(value: Any) -> float:
    return round(float(value), 4) + 0.0
