"""A dense reference that a recipe gives: another run's, or weights from a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hyperprune.errors import RecipeError, RunError
from hyperprune.plan.settle import Settled
from hyperprune.recipe.records import Recipe
from hyperprune.store import atomic
from hyperprune.store.cache import dense_parts
from hyperprune.store.run import Run
from hyperprune.store.training import TrainingFolder
from hyperprune.terms.keys import dotted
from hyperprune.training.build import build_trainer, load_weights, measure_spectrum, spectrum_text
from hyperprune.training.outcome import DENSE, Outcome, recorded
from hyperprune.training.trainer import EpochMetrics, Trainer


def check_given(settled: Settled) -> None:
    """Raise RecipeError where the reference that a recipe gives is not there, or another network's."""
    given = settled.recipe.dense
    try:
        if given.run is not None:
            _found(settled, Path(given.run).expanduser())
        elif given.weights is not None:
            _loaded(settled, Path(given.weights).expanduser())
    except RunError as error:
        (key,) = given.given
        raise RecipeError([f"dense.{key}: {error}"]) from error


def adopt(settled: Settled, folder: TrainingFolder) -> Outcome:
    """Bring the reference that a recipe gives into a run's own folder; raises RunError."""
    given = settled.recipe.dense
    if given.run is not None:
        return _copied(settled, Path(given.run).expanduser(), folder)
    assert given.weights is not None
    return _measured(settled, Path(given.weights).expanduser(), folder)


def _found(settled: Settled, path: Path) -> tuple[Run, Outcome]:
    """The run that a recipe names and its dense reference; raises RunError where it is no match."""
    if not path.is_dir():
        raise RunError(f"there is no run folder {path}")
    run = Run.open(path)
    outcome = run.outcome(DENSE)
    other = run.made().recipe
    if different := list(_differences(settled, run, other)):
        raise RunError(f"{path} trained its dense network with {'; '.join(different)}")
    epochs = settled.recipe.train.epochs
    if outcome is None or outcome.failure is not None or len(outcome.epochs) < epochs:
        raise RunError(f"the dense reference of {path} is not finished")
    if lost := run.training(DENSE).lost(outcome.epochs):
        raise RunError(lost[0])
    return run, outcome


def _differences(settled: Settled, run: Run, other: Recipe) -> Iterator[str]:
    """What a dense network depends on and the run has otherwise, a phrase each."""
    texts = [fact["sha256"] for fact in run.journal.facts("corpus")]
    if texts and texts[0] != settled.corpus.sha256:
        yield "another text"
    own, theirs = dense_parts(settled.recipe), dense_parts(other)
    if own["spectrum"] is None or theirs["spectrum"] is None:
        if own.pop("spectrum") is not None:
            yield "spectrum.measure False (here True)"
        del theirs["spectrum"]
    own, theirs = dotted(own), dotted(theirs)
    for key in sorted(own.keys() | theirs.keys()):
        if own.get(key) != theirs.get(key):
            named = key.replace(".options.", ".")
            yield f"{named} {theirs.get(key)!r} (here {own.get(key)!r})"


def _copied(settled: Settled, path: Path, folder: TrainingFolder) -> Outcome:
    run, outcome = _found(settled, path)
    folder.take(run.training(DENSE), outcome.epochs)
    return outcome


def _loaded(settled: Settled, path: Path) -> Trainer:
    """A trainer around the weights of a file; raises RunError where they are another network's."""
    weights, _ = atomic.read_tensors(path)
    trainer = build_trainer(settled.recipe, settled.task, sparse=False)
    load_weights(trainer, weights)
    return trainer


def _measured(settled: Settled, path: Path, folder: TrainingFolder) -> Outcome:
    """Losses and spectrum of given weights, kept as those of one epoch.

    The training loss, too, is that of the finished network: without dropout.
    """
    trainer = _loaded(settled, path)
    valid = trainer.evaluate(trainer.heldout("valid"))
    train = trainer.evaluate(trainer.heldout("train"))
    for name, loss in (("training", train.loss), ("validation", valid.loss)):
        if not loss <= settled.task.bound:
            raise RunError(
                f"dense.weights: the network of {path} has a {name} loss of {loss:.4g} "
                f"{settled.task.unit} (above {settled.task.bound:.4g}), so nothing can be compared "
                "with it: was it trained on these data, scaled as they are here?"
            )
    said, spectrum = settled.recipe.spectrum, None
    if said.measure:
        spectrum = measure_spectrum(trainer, spectrum_text(settled.task, said), said)
    metrics = EpochMetrics(1, train.loss, valid.loss, False, valid.cost)
    record = recorded(metrics, spectrum, None)
    folder.save(trainer, spectrum, [record])
    folder.discard_state()
    return Outcome(DENSE, (record,))
