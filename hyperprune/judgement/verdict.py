"""Who won, by how much, and what the search cost: from the facts of a run to its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from hyperprune.corpus import Corpus, Sequences
from hyperprune.errors import Ended, PluginError, SpectrumError
from hyperprune.judgement.arms import arms_of
from hyperprune.judgement.budget import budget_verdict
from hyperprune.judgement.candidate import Candidate, candidate_result, overlooked
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.margin import margin
from hyperprune.judgement.measured import as_int8, value_of
from hyperprune.judgement.result import FrontierPoint, RunResult, Signal
from hyperprune.plugins import registry
from hyperprune.recipe import apply
from hyperprune.recipe.records import Recipe
from hyperprune.search.goal import Point, fronts
from hyperprune.search.goal import winner as won
from hyperprune.search.ranking import spearman
from hyperprune.store import atomic, layout
from hyperprune.store.winner import save_winner
from hyperprune.task import Task
from hyperprune.terms.metric import Metric
from hyperprune.training.budget import said
from hyperprune.training.outcome import DENSE, Outcome, best_of


def conclude(
    judge: Judge,
    data: Corpus | Sequences,
    task: Task,
    dense: Outcome | None,
    target: float,
    every: Sequence[Candidate],
    finalists: Sequence[str],
    repeats: Mapping[str, Sequence[Outcome]],
    tuned: Mapping[str, Outcome] | None = None,
    *,
    saved: int = 0,
) -> RunResult:
    """Choose the winner by the metric on validation, read test once, and save the winner.

    Where the goal is a small network, it is the smallest that meets the target (`search.goal.winner`).

    Finalists are all that trained to the full budget, however they came to it, or those that met the
    target (a cost) where the run stopped for it. With `repeats` from further seeds the mean of a finalist's
    best losses counts; what is saved and tested is its network of the first seed. tuned: what finalists
    came to as int8, which is told and decides nothing. saved: epochs that stopping early spared.
    """
    recipe, run = judge.recipe, judge.run
    metric = run.metric
    told = recipe.dense.target
    aim = metric.value(target) if told is None else told
    alive = [c for c in every if c.name in finalists and c.outcome.failure is None]
    if not alive:
        causes = "; ".join(
            f"{c.name}: {c.outcome.failure.cause}" for c in every if c.outcome.failure
        )
        raise Ended(f"every finalist failed: {causes}")
    losses = {c.name: _best_costs(c.outcome, repeats[c.name]) for c in alive}
    dense_losses = [target] if dense is None else _best_costs(dense, repeats[DENSE])
    points = {c.name: Point(fmean(losses[c.name]), judge.size(c.outcome)) for c in alive}
    chosen = won(points, recipe.search.goal, fmean(dense_losses))
    winner = next(c for c in alive if c.name == chosen)
    missed = overlooked(judge, every, [c.name for c in alive])
    settings = apply(recipe, winner.configuration)
    about = _about(settings, winner, data)
    active, masked, total = save_winner(
        run.folder / layout.WINNER, run.training(winner.name).best, about
    )
    verdict, budgeted = None, tuple[FrontierPoint, ...]()
    if recipe.prune.budgeted and dense is not None:
        known = {DENSE: dense, **{c.name: c.outcome for c in alive}}
        of_all = {DENSE: dense_losses, **losses}
        verdict = budget_verdict(said(recipe.prune), known, of_all)
        whole, _ = atomic.read_tensors(run.training(DENSE).best)
        kept = sum(tensor.numel() for tensor in whole.values())
        budgeted = _within_budget(metric, known, of_all, kept)
    further = sum(len(o.epochs) for name, own in repeats.items() if name != DENSE for o in own)
    further += sum(len(item.epochs) for item in (tuned or {}).values())
    return RunResult(
        title=recipe.title,
        winner=winner.name,
        candidates=tuple(
            candidate_result(
                judge,
                item.name,
                item.configuration,
                item.outcome,
                aim,
                "winner" if item is winner else "finalist" if item in alive else "eliminated",
            )
            for item in every
        ),
        dense_value=aim,
        dense_test_value=None if dense is None else value_of(run, DENSE, recipe, task, "test"),
        test_value=value_of(run, winner.name, settings, task, "test"),
        active=active,
        masked=masked,
        total=total,
        dense_epochs=0
        if recipe.dense.given or dense is None
        else len(dense.epochs) + sum(len(item.epochs) for item in repeats[DENSE]),
        search_epochs=sum(len(item.outcome.epochs) for item in every) + further,
        full_search_epochs=len(every) * recipe.train.epochs + further,
        signal=early_signal(judge, every),
        overlooked=missed.name if missed and not saved else None,
        values=tuple(metric.value(cost) for cost in losses[winner.name]),
        dense_values=tuple(metric.value(cost) for cost in dense_losses),
        metric=metric,
        margin=margin(losses[winner.name], dense_losses),
        saved_epochs=saved,
        arms=arms_of(
            run, recipe, lambda name, own: value_of(run, name, apply(recipe, own), task, "test")
        ),
        goal=recipe.search.goal,
        frontier=_frontier(
            metric,
            points,
            {c.name: c.outcome.epochs[-1].masked for c in alive},
            fmean(dense_losses),
        )
        if judge.sized
        else budgeted,
        budget=verdict,
        int8=as_int8(run, recipe, task, alive, tuned, winner) if tuned else None,
    )


def _frontier(
    metric: Metric, points: Mapping[str, Point], masked: Mapping[str, int], target: float
) -> tuple[FrontierPoint, ...]:
    """Finalists that no other beats, the smallest first."""
    names = list(points)
    best = fronts([points[name] for name in names])[0]
    return tuple(
        FrontierPoint(
            name=names[index],
            active=int(points[names[index]].size),
            sparsity=1 - points[names[index]].size / masked[names[index]],
            valid_value=metric.value(points[names[index]].score),
            meets_target=points[names[index]].score <= target,
        )
        for index in best
    )


def _within_budget(
    metric: Metric,
    outcomes: Mapping[str, Outcome],
    losses: Mapping[str, Sequence[float]],
    dense_weights: int,
) -> tuple[FrontierPoint, ...]:
    """All that trained to the end and the dense reference, the densest first; they keep equally much."""
    target = fmean(losses[DENSE])
    found = []
    for name, values in losses.items():
        last = outcomes[name].epochs[-1]
        kept, sparsity = dense_weights, 0.0
        if name != DENSE:
            kept = last.topology["parameters"] - last.masked + last.active
            sparsity = 1 - last.active / last.masked
        value = fmean(values)
        found.append(FrontierPoint(name, kept, sparsity, metric.value(value), value <= target))
    return tuple(sorted(found, key=lambda point: (point.sparsity, point.name != DENSE, point.name)))


def _about(recipe: Recipe, winner: Candidate, data: Corpus | Sequences) -> dict[str, Any]:
    """What the winner's weights belong to."""
    plugins = [("model", recipe.model.name), ("corpus", recipe.data.corpus)]
    if isinstance(data, Corpus):
        reads: dict[str, Any] = {"vocabulary": len(data.vocabulary)}
    else:
        plugins.append(("task", recipe.task.name))
        reads = {
            "features": data.features,
            "labels": list(data.labels),
            "mean": None if data.mean is None else data.mean.tolist(),
            "scale": None if data.scale is None else data.scale.tolist(),
        }
    makers = {kind: registry().get(kind, name) for kind, name in plugins}
    return {
        "made_by": {kind: f"{made.package} {made.version}" for kind, made in makers.items()},
        "candidate": winner.name,
        "configuration": dict(winner.configuration),
        "model": {"name": recipe.model.name, **recipe.model.options},
        **reads,
    }


def _best_costs(outcome: Outcome, repeats: Sequence[Outcome]) -> list[float]:
    """Lowest cost of a training and of each of its repetitions that did not fail."""
    whole = [outcome, *(item for item in repeats if item.failure is None)]
    return [best_of(item.epochs).cost for item in whole]


def early_signal(judge: Judge, every: Sequence[Candidate]) -> Signal:
    """Correlate what was known at the first judgement with the cost last known.

    Over the survivors of the first round only: the others trained no further, so nothing more is known
    of them.
    """
    first = judge.recipe.rounds.first
    survivors = [c for c in every if len(c.outcome.epochs) > first and c.outcome.failure is None]
    later = [c.outcome.epochs[-1].cost for c in survivors]
    try:
        distances = [judge.score(c.name, first).value for c in survivors]
    except (PluginError, SpectrumError):  # the search did not need it
        distances = []
    return Signal(
        survivors=len(survivors),
        early_distance=spearman(distances, later) if distances else None,
        early_loss=spearman([c.outcome.epochs[first - 1].valid_loss for c in survivors], later),
    )
