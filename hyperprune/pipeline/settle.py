"""The door: a recipe turned, once, into what the stages of its run need."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hyperprune.corpus import Corpus, Sequences
from hyperprune.corpus.load import load_corpus
from hyperprune.events import Plan
from hyperprune.metric import Metric
from hyperprune.plan.make import make_plan
from hyperprune.recipe import space_of
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.resources import resources
from hyperprune.search.space import Space
from hyperprune.training.build import (
    build_model,
    check_lengths,
    load_task,
    resolve_device,
    spectrum_text,
)


@dataclass(frozen=True)
class Settled:
    """A recipe with all that follows from it before anything has trained."""

    recipe: Recipe
    plan: Plan
    corpus: Corpus | Sequences
    metric: Metric
    space: Space
    workers: int  # processes that train
    threads: int  # of torch, in each of them


def settle(recipe: Recipe) -> Settled:
    """Read a recipe's text, plan its run, and see that its dense reference can be built here.

    Raises RecipeError, CorpusError and PluginError for what cannot begin, before there is a run folder.
    """
    plan = make_plan(recipe)
    resolve_device(recipe.train.device)
    corpus = load_corpus(recipe.data)
    task = load_task(recipe)
    check_lengths(recipe, task)
    spectrum_text(recipe)
    build_model(recipe, task.size, torch.device("cpu"))
    workers, threads = resources(recipe)
    return Settled(recipe, plan, corpus, task.metric, space_of(recipe), workers, threads)
