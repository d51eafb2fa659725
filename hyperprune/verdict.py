"""Who won, by how much, and what the search cost: from the facts of a run to its result."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

from hyperprune.assembly import build_trainer, load_corpus, load_weights
from hyperprune.corpus import batchify
from hyperprune.errors import RunError, SpectrumError
from hyperprune.events import DENSE
from hyperprune.judge import Judge
from hyperprune.outcome import Outcome
from hyperprune.recipe.records import Recipe
from hyperprune.result import CandidateResult, CandidateState, RunResult, Signal
from hyperprune.search.ranking import spearman
from hyperprune.search.space import Configuration
from hyperprune.stages import Candidate, Session
from hyperprune.store import atomic


def conclude(
    session: Session, dense: Outcome, every: Sequence[Candidate], finalists: Sequence[str]
) -> RunResult:
    """Choose the winner by validation perplexity, read test once, and save the winner."""
    recipe = session.recipe
    target = math.exp(min(record.valid_loss for record in dense.epochs))
    alive = [c for c in every if c.name in finalists and c.outcome.failure is None]
    if not alive:
        causes = "; ".join(
            f"{c.name}: {c.outcome.failure.cause}" for c in every if c.outcome.failure
        )
        raise RunError(f"every finalist failed: {causes}")
    winner = min(alive, key=lambda c: (min(r.valid_loss for r in c.outcome.epochs), c.name))
    active, masked, total = _save_winner(session, winner)
    return RunResult(
        title=recipe.title,
        winner=winner.name,
        candidates=tuple(
            candidate_result(
                session.judge,
                item.name,
                item.configuration,
                item.outcome,
                target,
                "winner" if item is winner else "finalist" if item in alive else "eliminated",
            )
            for item in every
        ),
        dense_perplexity=target,
        dense_test_perplexity=_test_perplexity(session, DENSE, recipe),
        test_perplexity=_test_perplexity(
            session, winner.name, session.configured(winner.configuration)
        ),
        active=active,
        masked=masked,
        total=total,
        dense_epochs=len(dense.epochs),
        search_epochs=sum(len(item.outcome.epochs) for item in every),
        full_search_epochs=len(every) * recipe.train.epochs,
        signal=early_signal(session, every),
    )


def candidate_result(
    judge: Judge,
    name: str,
    configuration: Configuration,
    outcome: Outcome | None,
    target: float | None,
    state: CandidateState,
) -> CandidateResult:
    """How far a candidate came, against the target (a validation perplexity) where it is known."""
    epochs = outcome.epochs if outcome else ()
    failure = outcome.failure if outcome else None
    best = min(epochs, key=lambda record: record.valid_loss, default=None)
    met = (r.epoch for r in epochs if target is not None and math.exp(r.valid_loss) <= target)
    score = None
    if epochs and not failure:
        with contextlib.suppress(SpectrumError):  # the dense spectrum may not be there yet
            score = judge.score(name, epochs[-1].epoch)
    return CandidateResult(
        name=name,
        configuration=dict(configuration),
        state="failed" if failure else state,
        epochs=len(epochs),
        distance=score.value if score else None,
        distance_error=score.standard_error if score else None,
        distance_noise=score.noise if score else None,
        valid_perplexity=math.exp(best.valid_loss) if best else None,
        best_epoch=best.epoch if best else None,
        met_target=next(met, None),
        cause=failure.cause if failure else None,
    )


def early_signal(session: Session, every: Sequence[Candidate]) -> Signal:
    """Correlate what was known at the first judgement with the perplexity last known.

    Over the survivors of the first round only: the rest were not trained on, so nothing is known of
    them that was not known then.
    """
    first = session.recipe.rounds.first
    survivors = [c for c in every if len(c.outcome.epochs) > first and c.outcome.failure is None]
    later = [c.outcome.epochs[-1].valid_loss for c in survivors]
    return Signal(
        survivors=len(survivors),
        early_distance=spearman(
            [session.judge.score(c.name, first).value for c in survivors], later
        ),
        early_loss=spearman([c.outcome.epochs[first - 1].valid_loss for c in survivors], later),
    )


def _test_perplexity(session: Session, name: str, recipe: Recipe) -> float:
    """Perplexity of a training's best weights on the test split."""
    trainer = build_trainer(recipe, sparse=False)
    weights, _ = atomic.read_tensors(session.run.training(name).best)
    load_weights(trainer, weights)
    batch = recipe.train.test_batch or recipe.train.eval_batch
    test = batchify(load_corpus(recipe.data).test, batch).to(trainer.device)
    return math.exp(trainer.evaluate(test))


def _save_winner(session: Session, winner: Candidate) -> tuple[int, int, int]:
    """Write the winner's weights, masks and settings; returns active, masked and all weights."""
    folder = session.run.folder / "winner"
    tensors, metadata = atomic.read_tensors(session.run.training(winner.name).best)
    masks = {key.removeprefix("mask/"): t for key, t in tensors.items() if key.startswith("mask/")}
    weights = {key: tensor for key, tensor in tensors.items() if not key.startswith("mask/")}
    settings = session.configured(winner.configuration)
    vocabulary = load_corpus(settings.data).vocabulary
    about: dict[str, Any] = {
        "candidate": winner.name,
        "configuration": dict(winner.configuration),
        "model": {"name": settings.model.name, **settings.model.options},
        "vocabulary": len(vocabulary),
        **metadata,
    }
    atomic.write_tensors(folder / "weights.safetensors", weights, about)
    atomic.write_tensors(folder / "masks.safetensors", masks, about)
    atomic.write_json(folder / "settings.json", about)
    return (
        sum(int(mask.sum()) for mask in masks.values()),
        sum(mask.numel() for mask in masks.values()),
        sum(weight.numel() for weight in weights.values()),
    )
