"""How a run stands, read from its folder: finished or not, nothing is written or computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hyperprune.errors import RunError, nearest
from hyperprune.judgement.arms import Arm, arms_of
from hyperprune.judgement.candidate import candidate_result
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.result import CandidateResult, RunResult, named
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.recipe.records import Recipe
from hyperprune.search.draw import repeats
from hyperprune.store import atomic, layout
from hyperprune.store.run import Run
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.training.outcome import DENSE


@dataclass(frozen=True)
class Standing:
    """What a run folder tells. `target` is the dense reference's best value of the metric, or a given one."""

    folder: str
    title: str
    epochs: int  # full budget of one training
    dense_epochs: int  # finished
    target: float | None
    candidates: tuple[CandidateResult, ...]
    result: RunResult | None
    topology: Mapping[str, Any] | None  # of the winner, after its last epoch
    ended: str | None = None  # why it is over without a result
    arms: tuple[Arm, ...] = ()  # of a study, as far as they are
    metric: Metric = PERPLEXITY
    dense_from: str | None = (
        None  # key of [dense] that the dense reference, or a target alone, is from
    )

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON, values under the metric's own name."""
        said = asdict(self)
        if self.metric == PERPLEXITY:
            del said["metric"]
        if self.result is not None:
            said["result"] = {**self.result.to_json(), "folder": self.result.folder}
        return {key: named(value, self.metric) for key, value in said.items()}


def standing(source: Path | Run) -> Standing:
    """Read a run folder, or one that is open; raises RunError where it is none, or damaged."""
    run = source if isinstance(source, Run) else open_run(source)
    folder = run.folder
    recipe = recipe_of(run)
    dense = run.outcome(DENSE)
    costs = [record.cost for record in dense.epochs] if dense else []
    target = run.metric.value(min(costs)) if costs else recipe.dense.target
    path = folder / layout.RESULT
    result = RunResult.from_json(atomic.read_json(path), folder) if path.exists() else None
    topology = None
    if result is not None:
        candidates = result.candidates
        won = run.outcome(result.winner)
        topology = won.epochs[-1].topology if won and won.epochs else None
    else:
        judge = Judge(recipe, run)
        again = repeats(run.proposed())
        candidates = tuple(
            candidate_result(judge, name, config, run.outcome(name), target, "unfinished")
            for name, config in run.proposed().items()
            if name not in again
        )
    return Standing(
        folder=str(folder),
        title=recipe.title,
        epochs=recipe.train.epochs,
        dense_epochs=0 if recipe.dense.given else len(costs),
        target=target,
        candidates=candidates,
        result=result,
        topology=topology or None,
        ended=None if result is not None else run.ended(),
        arms=result.arms if result is not None else arms_of(run, recipe),
        metric=run.metric,
        dense_from=next(iter(recipe.dense.given), None),
    )


def open_run(folder: Path) -> Run:
    """Open a run folder to read; raises RunError."""
    if not folder.is_dir():
        raise RunError(f"there is no run folder {folder}")
    return Run.open(folder)


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run was made from; raises RunError where run.json is damaged."""
    return run.made().recipe


def dense_spectrum(folder: Path, epoch: int) -> LyapunovSpectrum | None:
    """What a candidate's spectrum after an epoch is seen beside; None where the run has none."""
    recipe = recipe_of(open_run(folder))
    if not recipe.compares_spectra:
        return None
    return load_spectrum(folder, DENSE, None if recipe.dense.weights else epoch)[1]


def load_spectrum(folder: Path, name: str, epoch: int | None) -> tuple[int, LyapunovSpectrum]:
    """Load a training's stored spectrum, the last where no epoch is said; raises RunError."""
    run = open_run(folder)
    known = [DENSE, *run.proposed()]
    if name not in known:
        raise RunError(f"no candidate {name!r} in {folder}{nearest(name, known)}")
    training = run.training(name)
    stored = sorted(
        int(path.stem) for path in (training.path / layout.SPECTRA).glob("[0-9]*.safetensors")
    )
    if not stored:
        measures = recipe_of(run).spectrum.measure
        why = "yet" if measures else "in this run: its recipe says spectrum.measure = false"
        raise RunError(f"{name} has no spectrum {why}")
    chosen = stored[-1] if epoch is None else epoch
    if chosen not in stored:
        raise RunError(
            f"{name} has no spectrum after epoch {chosen}; there are {stored[0]} to {stored[-1]}"
        )
    return chosen, LyapunovSpectrum.load(training.spectrum(chosen))
