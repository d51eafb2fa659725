"""How a search ends: at the target, or with every finalist trained from several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hyperprune import events
from hyperprune.judgement.candidate import Candidate
from hyperprune.pipeline.dense import DenseReference
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.work import train
from hyperprune.recipe.records import Recipe
from hyperprune.training.outcome import DENSE, Outcome, int8_name, repeat_name


def at_target(session: Session, dense: DenseReference, pool: Iterable[Candidate]) -> list[str]:
    """Candidates that have met the dense target; empty unless the recipe stops there."""
    if not session.recipe.final.stop_at_target:
        return []
    return [
        c.name
        for c in pool
        if c.outcome.failure is None
        and c.best_cost <= dense.target
        and session.judge.arrived(c.outcome)
    ]


def repeat(
    session: Session, every: dict[str, Candidate], finalists: Sequence[str]
) -> dict[str, list[Outcome]]:
    """Train finalists and the dense reference from the recipe's further seeds, by name.

    A further seed has its own initial weights, masks and data order, and shares them with the dense
    reference of the same seed. A reference that the recipe gives has no further seeds.
    """
    recipe, budget = session.recipe, session.recipe.train.epochs
    extra = range(2, recipe.final.seeds + 1)
    names = [*finalists] if recipe.dense.given else [DENSE, *finalists]
    found: dict[str, list[Outcome]] = {name: [] for name in (DENSE, *finalists)}
    if not extra:
        return found
    session.notify(events.StageStarted("seeds", len(names) * len(extra) * budget))
    work = {}
    for number in extra:
        for name in names:
            sparse = name != DENSE
            own = session.configured(every[name].configuration) if sparse else recipe
            work[repeat_name(name, number)] = (seeded(own, number), sparse)
    trained = train(session, work, budget)
    for name in names:
        found[name] = [trained[repeat_name(name, number)] for number in extra]
    return found


def tune(
    session: Session, every: Mapping[str, Candidate], finalists: Sequence[str]
) -> dict[str, Outcome]:
    """Train finalists on as int8 will hold their weights, by name; none where the recipe has no such epochs.

    Each goes on from its best weights of the first seed, with their masks.
    """
    epochs = session.recipe.final.int8_epochs
    if not epochs:
        return {}
    session.notify(events.StageStarted("int8", len(finalists) * epochs))
    work = {
        int8_name(name): (as_int8(session.configured(every[name].configuration)), True)
        for name in finalists
    }
    trained = train(session, work, epochs, int8=True)
    return {name: trained[int8_name(name)] for name in finalists}


def as_int8(recipe: Recipe) -> Recipe:
    """The recipe of a finalist's training as int8: few epochs, a small rate that falls, masks as they are."""
    final, train = recipe.final, recipe.train
    rates = {"lr": final.int8_lr * train.lr, "schedule": "cosine", "warmup": 0.0, "finetune": ()}
    return recipe.model_copy(
        update={
            "train": train.model_copy(update={"epochs": final.int8_epochs, **rates}),
            "prune": recipe.prune.model_copy(update={"update": "never"}),
        }
    )


def tidy(session: Session, every: Iterable[str], finalists: Sequence[str]) -> None:
    """Delete what only further training would need, and the weights of all but the finalists."""
    for name in every:
        session.run.training(name).discard_state()
        if name not in finalists and session.recipe.final.keep == "finalists":
            session.run.training(name).discard_weights()


def seeded(recipe: Recipe, number: int) -> Recipe:
    """The same recipe with the seed of its n-th repetition; the first has the recipe's own."""
    return recipe.model_copy(update={"seed": recipe.seed_of(number)})
