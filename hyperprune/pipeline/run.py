"""A whole run, in the order of the picture: dense reference, candidates, rounds, finalists, winner.

A run is a pure function of its recipe. Whatever it computes becomes a fact in the journal or a
checkpoint, and whatever is a fact already is not computed again: resuming is running once more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from hyperprune import events
from hyperprune.errors import RunError, Stopped
from hyperprune.events import Event, Observer
from hyperprune.execution import make_executor
from hyperprune.judgement.candidate import Candidate
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.result import RunResult
from hyperprune.judgement.verdict import conclude
from hyperprune.pipeline.changes import check_unchanged
from hyperprune.pipeline.checks import look_at_disk, pin_corpus
from hyperprune.pipeline.dense import DenseReference
from hyperprune.pipeline.finals import at_target, repeat, tidy
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.settle import Settled, settle
from hyperprune.pipeline.stages import halve, propose, rescue
from hyperprune.recipe import load_recipe
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.signals import stop_on_signal
from hyperprune.runtime.threads import torch_threads
from hyperprune.store import atomic
from hyperprune.store.lock import owned
from hyperprune.store.run import Run, environment


def run(
    recipe: Recipe | Path | str,
    *,
    overrides: Sequence[str] = (),
    folder: Path | str | None = None,
    observers: Sequence[Observer] = (),
) -> RunResult:
    """Carry out a recipe (a record, a file, or a shipped name) in a new run folder.

    `overrides` are settings such as `"prune.sparsity=0.8"` (not with a record); the folder is
    `runs/<title>-<time>` unless given; observers are told every event as it happens. A recipe with
    `search.workers` above 1 starts processes: a script that calls this needs the usual
    `if __name__ == "__main__":`. Raises RecipeError for what a recipe gets wrong, Stopped when
    asked to stop by a signal, RunError when the run cannot go on; the last two leave a folder that
    `resume` takes up.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides)
    settled = settle(recipe)  # what cannot begin leaves no folder
    target = Path(folder) if folder is not None else _new_folder(recipe.title)
    with owned(target):
        made = Run.create(target, recipe, environment(settled.workers, settled.threads))
        return _carry_out(made, settled, observers, resumed=False)


def resume(folder: Path | str, *, observers: Sequence[Observer] = ()) -> RunResult:
    """Go on with a run after any stop; a finished run answers with its result."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"there is no run folder {folder}")
    with owned(folder):
        opened = Run.open(folder)
        recipe, notices = check_unchanged(opened)
        if (folder / "result.json").exists():
            return load_run(folder)
        return _carry_out(opened, settle(recipe), observers, resumed=True, notices=notices)


def load_run(folder: Path | str) -> RunResult:
    """Read the result of a finished run; raises RunError when there is none yet."""
    path = Path(folder)
    Run.open(path)
    if not (path / "result.json").exists():
        raise RunError(f"{path} is not finished; `hyperprune resume {path}` goes on with it")
    return RunResult.from_json(atomic.read_json(path / "result.json"), path)


def _carry_out(
    opened: Run,
    settled: Settled,
    observers: Sequence[Observer],
    *,
    resumed: bool,
    notices: Sequence[str] = (),
) -> RunResult:
    def notify(event: Event) -> None:
        opened.log(event)
        for observer in observers:
            observer(event)

    notify(events.RunStarted(str(opened.folder), settled.plan, resumed))
    for notice in notices:
        notify(events.Notice(notice))
    try:
        with (
            stop_on_signal() as stopping,
            torch_threads(settled.threads),
            make_executor(notify, stopping, settled.workers, settled.threads) as executor,
        ):
            judge = Judge(settled.recipe, opened)
            result = _stages(Session(settled, opened, judge, executor, notify))
    except (Stopped, KeyboardInterrupt) as error:
        raise Stopped(f"stopped; `hyperprune resume {opened.folder}` goes on") from error
    atomic.write_json(opened.folder / "result.json", result.to_json())
    notify(events.RunFinished(str(opened.folder), result.to_json()))
    return load_run(opened.folder)


def _stages(session: Session) -> RunResult:
    """The run on one screen."""
    plan = session.settled.plan
    pin_corpus(session)
    look_at_disk(session)
    (count, epoch), *rounds = plan.rounds

    session.notify(events.StageStarted("dense", plan.epochs))
    dense = DenseReference(session)
    session.notify(events.StageStarted("search", count * epoch))
    pool = propose(session, dense)
    every = {item.name: item for item in pool}

    for number, (keep, until) in enumerate([*rounds, (plan.finalists, plan.epochs)], start=2):
        if at_target(session, dense.outcome, pool):
            break
        pool = [item for item in pool if item.outcome.failure is None]
        if not pool:
            raise RunError(f"every candidate failed: {_causes(every)}")
        last = until == plan.epochs
        gain = until - len(pool[0].outcome.epochs)
        session.notify(
            events.StageStarted("final" if last else f"round {number}", min(keep, len(pool)) * gain)
        )
        pool = halve(session, dense, pool, number - 1, keep, until)
        every.update({item.name: item for item in pool})

    met = at_target(session, dense.outcome, every.values())
    finalists = met or rescue(session, every)
    repeats = repeat(session, every, finalists)
    tidy(session, every, finalists)
    saved = plan.search_epochs - sum(len(c.outcome.epochs) for c in every.values()) if met else 0
    return conclude(
        session.judge, dense.outcome, list(every.values()), finalists, repeats, saved=saved
    )


def _causes(every: dict[str, Candidate]) -> str:
    failed = ((c.name, c.outcome.failure) for c in every.values())
    return "; ".join(f"{name}: {failure.cause}" for name, failure in failed if failure)


def _new_folder(title: str) -> Path:
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in title.lower())
    stem = "-".join(part for part in words.split("-") if part)[:40] or "run"
    base = Path("runs") / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = base, 1
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder
