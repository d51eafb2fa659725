"""The door: a recipe turned, once, into what its run needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from hyperprune.corpus import Corpus, Sequences
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import RecipeError
from hyperprune.events import Plan
from hyperprune.model import Features, parameter_count
from hyperprune.plan.budget import dense_configurations, largest_network, within_budget
from hyperprune.plan.crew import resources
from hyperprune.plan.disk import run_bytes
from hyperprune.plan.make import make_plan
from hyperprune.plan.tensors import check_controls
from hyperprune.plan.updates import standing_still
from hyperprune.recipe import default_configuration, space_of
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.patience import patient
from hyperprune.runtime.threads import torch_threads
from hyperprune.search.space import Configuration, Space
from hyperprune.task import Task
from hyperprune.terms.metric import Metric
from hyperprune.training.build import (
    build_model,
    check_lengths,
    load_task,
    resolve_device,
    spectrum_text,
)
from hyperprune.training.precision import AUTO, choose, settled


@dataclass(frozen=True)
class Settled:
    """A recipe with all that follows from it before anything has trained."""

    recipe: Recipe
    corpus: Corpus | Sequences
    task: Task
    space: Space
    firsts: tuple[Configuration, ...]  # tried before the searcher is asked
    plan: Plan
    weights: int  # of the network, dense; of the largest, where a budget lets it vary
    disk: int  # most bytes that the run folder may come to
    workers: int  # processes that train
    threads: int  # of torch, in each of them
    target: float | None = None  # cost to reach, where the recipe gives it
    notices: tuple[str, ...] = ()  # what was decided here


def settle(recipe: Recipe) -> Settled:
    """Read a recipe's text, plan its run, and see that its dense reference can be built here.

    What a recipe leaves to the machine (`train.precision = "auto"`) is decided, once: the settled recipe,
    which its run writes down, says it in words.

    Raises RecipeError, CorpusError and PluginError for what cannot begin, before there is a run folder.
    """
    with patient(recipe.search.silence):
        return _settled(recipe)


def _settled(recipe: Recipe) -> Settled:
    space = space_of(recipe)
    plan = make_plan(recipe, space.size)
    resolve_device(recipe.train.device)
    corpus = load_corpus(recipe.data, anew=True)  # files may be others than in the last run
    task = load_task(recipe, corpus)
    check_lengths(recipe, task)
    still = standing_still(recipe, space, task)
    if recipe.spectrum.measure:
        spectrum_text(task, recipe.spectrum)
    recipe, notices = within_budget(recipe, task.size)
    weights = _checked_weights(recipe, space, task.size)
    if recipe.prune.budgeted:
        weights = max(weights, parameter_count(largest_network(recipe, space, task.size)))
    workers, threads = resources(recipe)
    if recipe.train.precision == AUTO:
        with torch_threads(threads):
            choice = choose(recipe, task)
        recipe = settled(recipe, choice.precision)
        notices = (*notices, f"train.precision is {choice.precision}: {choice.because}")
    return Settled(
        recipe,
        corpus,
        task,
        space,
        _firsts(recipe, space, task.size),
        plan,
        weights,
        run_bytes(plan, weights, recipe, space, workers),
        workers,
        threads,
        None if recipe.dense.target is None else _cost(task.metric, recipe.dense.target),
        (*notices, *still),
    )


def _checked_weights(recipe: Recipe, space: Space, size: int | Features) -> int:
    """Parameters of the recipe's own network, which is made once and held against its controls."""
    network = build_model(recipe, size, torch.device("cpu"))
    check_controls(recipe, space, size, network)
    return parameter_count(network)


def _firsts(recipe: Recipe, space: Space, size: int | Features) -> tuple[Configuration, ...]:
    """The recipe's own configuration; within a budget that is the dense reference, so other dense ones."""
    if not recipe.search.default_first or recipe.arms:
        return ()
    if recipe.prune.budgeted:
        return tuple(dense_configurations(recipe, space, size))
    own = default_configuration(recipe)
    return () if own is None else (own,)


def _cost(metric: Metric, target: float) -> float:
    """The cost that a target stands for; raises RecipeError where no network comes to such a value."""
    cost = metric.order(target)
    if not math.isfinite(cost) or (metric.of != "cost" and cost < 0):
        best = metric.text(metric.value(0.0))
        raise RecipeError(
            [f"dense.target: found {target:g}; no {metric.words} is better than {best}"]
        )
    return cost
