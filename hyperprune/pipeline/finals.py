"""How a search ends: at the target, or with every finalist trained from several seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hyperprune import events
from hyperprune.judgement.candidate import Candidate
from hyperprune.pipeline.dense import DenseReference
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.work import train
from hyperprune.recipe.records import Recipe
from hyperprune.training.outcome import DENSE, Outcome, repeat_name


def at_target(session: Session, dense: DenseReference, pool: Iterable[Candidate]) -> list[str]:
    """Candidates that have met the dense target; empty unless the recipe stops there."""
    if not session.recipe.final.stop_at_target:
        return []
    return [c.name for c in pool if c.outcome.failure is None and c.best_cost <= dense.target]


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


def tidy(session: Session, every: Iterable[str], finalists: Sequence[str]) -> None:
    """Delete what only further training would need, and the weights of all but the finalists."""
    for name in every:
        session.run.training(name).discard_state()
        if name not in finalists and session.recipe.final.keep == "finalists":
            session.run.training(name).discard_weights()


def seeded(recipe: Recipe, number: int) -> Recipe:
    """The same recipe with the seed of its n-th repetition; the first has the recipe's own."""
    return recipe.model_copy(update={"seed": recipe.seed_of(number)})
