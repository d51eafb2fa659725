"""What is looked at before a run begins to train: its text and its disk."""

from __future__ import annotations

import torch

from hyperprune import events
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import RunError
from hyperprune.model import parameter_count
from hyperprune.pipeline.session import Session
from hyperprune.plan import disk
from hyperprune.plan.record import Plan
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.resources import resources
from hyperprune.training.build import (
    build_model,
    check_lengths,
    resolve_device,
    spectrum_text,
)


def check_beginning(recipe: Recipe) -> None:
    """Raise RecipeError, CorpusError or PluginError where the dense reference could not be built."""
    resolve_device(recipe.train.device)
    corpus = load_corpus(recipe.data)
    check_lengths(recipe)
    spectrum_text(recipe)
    build_model(recipe, len(corpus.vocabulary), torch.device("cpu"))


def pin_corpus(session: Session) -> None:
    """Make the text a fact of the run; raises RunError when it is not the text it began with."""
    corpus, journal = load_corpus(session.recipe.data), session.run.journal
    known = [fact["sha256"] for fact in journal.records if fact["fact"] == "corpus"]
    if not known:
        journal.append({"fact": "corpus", "name": corpus.name, "sha256": corpus.sha256})
    elif known[0] != corpus.sha256:
        raise RunError(
            f"the corpus {corpus.name} has changed since the run began (sha256 {known[0][:12]}…, now "
            f"{corpus.sha256[:12]}…); bring back the old text, or start a new run"
        )


def look_at_disk(session: Session, plan: Plan) -> None:
    """Estimate the disk the run will fill; raises RunError where it cannot even begin."""
    recipe, folder = session.recipe, session.run.folder
    model = build_model(recipe, len(load_corpus(recipe.data).vocabulary), torch.device("cpu"))
    weights = parameter_count(model)
    need = disk.run_bytes(plan, weights, recipe, resources(recipe)[0])
    first = disk.checkpoint_bytes(weights, recipe.train.optimizer) + disk.best_bytes(weights)
    doubt = disk.check_space(folder, need, first)
    if doubt is not None:
        session.notify(events.Notice(doubt))
