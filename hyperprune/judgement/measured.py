"""What a training's best weights come to on a held-out split, measured once more: as they are, or as int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hyperprune.judgement.candidate import Candidate
from hyperprune.judgement.int8 import Int8Point, Int8Verdict
from hyperprune.recipe import apply
from hyperprune.recipe.records import Recipe
from hyperprune.store import atomic
from hyperprune.store.run import Run
from hyperprune.task import Split, Task
from hyperprune.training.build import build_trainer, load_weights
from hyperprune.training.int8 import held
from hyperprune.training.outcome import Outcome, int8_name


def value_of(
    run: Run, name: str, recipe: Recipe, task: Task, split: Split, *, int8: bool = False
) -> float:
    """The metric of a training's best weights, or of what int8 holds of them."""
    trainer = build_trainer(recipe, task, sparse=False)
    trainer.hold = held if int8 else None
    weights, _ = atomic.read_tensors(run.training(name).best)
    load_weights(trainer, weights)
    batch = recipe.train.test_batch if split == "test" else 0
    found = trainer.evaluate(trainer.heldout(split, batch))
    return run.metric.value(found.loss if found.cost is None else found.cost)


def as_int8(
    run: Run,
    recipe: Recipe,
    task: Task,
    finalists: Sequence[Candidate],
    outcomes: Mapping[str, Outcome],
    winner: Candidate,
) -> Int8Verdict:
    """Measure what rounding costs each finalist, beside what its training as int8 came to."""
    points = {}
    for item in finalists:
        own = apply(recipe, item.configuration)
        epochs = outcomes[item.name].epochs
        costs = [record.cost for record in epochs]
        value = run.metric.value(min(costs)) if costs and not outcomes[item.name].failure else None
        rounded = value_of(run, item.name, own, task, "valid", int8=True)
        better = value is not None and run.metric.order(value) < run.metric.order(rounded)
        whole = run.metric.value(item.best_cost)
        points[item.name] = Int8Point(item.name, whole, rounded, value, better)
    settings = apply(recipe, winner.configuration)
    name = int8_name(winner.name) if points[winner.name].tuned else winner.name
    return Int8Verdict(
        recipe.final.int8_epochs,
        value_of(run, name, settings, task, "test", int8=not points[winner.name].tuned),
        tuple(points.values()),
    )
