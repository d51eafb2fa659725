"""A whole run, in the order of the picture: dense reference, candidates, rounds, finalists, winner.

A run is a pure function of its recipe. Whatever it computes becomes a fact in the journal or a
checkpoint, and whatever is a fact already is not computed again: resuming is running once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hyperprune import events
from hyperprune.errors import CorpusError, Ended, HyperpruneError, RunError, Stopped
from hyperprune.events import Event, Observer
from hyperprune.execution import Crew, Executor
from hyperprune.execution.guarded import Guarded
from hyperprune.judgement.candidate import Candidate
from hyperprune.judgement.card import card_of
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.result import RunResult
from hyperprune.judgement.verdict import conclude
from hyperprune.pipeline.arms import try_arms
from hyperprune.pipeline.changes import check_unchanged
from hyperprune.pipeline.checks import look_at_disk, pin_corpus
from hyperprune.pipeline.dense import DenseReference
from hyperprune.pipeline.finals import at_target, repeat, tidy, tune
from hyperprune.pipeline.given import check_given
from hyperprune.pipeline.session import Session
from hyperprune.pipeline.stages import halve, propose, rescue
from hyperprune.plan.ahead import prepare
from hyperprune.plan.settle import Settled, settle
from hyperprune.plugins import GROUP, registry, said, use
from hyperprune.recipe import load_recipe
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.clock import Clock, part
from hyperprune.runtime.patience import patient
from hyperprune.runtime.signals import by_a_person, stop_on_signal
from hyperprune.runtime.threads import torch_threads
from hyperprune.store import atomic, layout
from hyperprune.store.folder import check_name, check_new, new_folder
from hyperprune.store.lock import owned
from hyperprune.store.run import Run, environment


def run(
    recipe: Recipe | Path | str,
    *,
    overrides: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
    folder: Path | str | None = None,
    observers: Sequence[Observer] = (),
    profile: bool = False,
) -> RunResult:
    """Carry out a recipe (a record, a file, or a shipped name) in a new run folder.

    `overrides` are settings such as `"prune.sparsity=0.8"`, `plugins` Python files to run beside those
    that the recipe names (neither with a record); the folder is `runs/<title>-<time>` unless given;
    observers are told every event as it happens, with `profile` also where the time went. A recipe with
    several `search.workers` starts processes: a script that calls this needs the usual
    `if __name__ == "__main__":`. Raises RecipeError for what a recipe gets wrong, Stopped when asked to
    stop by a signal, RunError when the run cannot go on; the last two leave a folder that `resume` takes
    up.
    """
    if isinstance(recipe, Recipe):
        use(recipe.plugins)
    else:
        recipe = load_recipe(recipe, overrides, plugins=plugins)
    prepare(recipe)
    return begin(settle(recipe), folder=folder, observers=observers, profile=profile)


def begin(
    settled: Settled,
    *,
    folder: Path | str | None = None,
    observers: Sequence[Observer] = (),
    profile: bool = False,
) -> RunResult:
    """Carry out a settled recipe in a new run folder; what cannot begin has left none."""
    check_given(settled)
    target = Path(folder) if folder is not None else new_folder(settled.recipe.title)
    check_new(target)  # before a lock is put there
    with owned(target):
        made = Run.create(target, settled.recipe, environment(settled.workers, settled.threads))
        # The recipe from here on names the run's own copies of plugin files.
        settled = replace(settled, recipe=made.made().recipe)
        return _carry_out(
            made,
            settled,
            observers,
            resumed=False,
            notices=settled.notices,
            profile=profile,
        )


def resume(
    folder: Path | str,
    *,
    overrides: Sequence[str] = (),
    observers: Sequence[Observer] = (),
    profile: bool = False,
) -> RunResult:
    """Go on with a run after any stop, to the same result; a finished run answers with it.

    `overrides` count for this sitting, and change only what a run may go on without, such as
    `"search.executor=local"`. Observers are told what happens from here on. Raises RunError for a
    folder that holds no run, or one whose recipe or text is another now, and what `run` raises.
    """
    folder = Path(folder)
    check_name(folder)
    if not folder.is_dir():
        raise RunError(f"there is no run folder {folder}")
    with owned(folder):
        opened = Run.open(folder)
        recipe, notices = check_unchanged(opened, overrides)
        if (folder / layout.RESULT).exists():
            return load_run(folder)
        prepare(recipe)
        return _carry_out(
            opened,
            _settle_again(opened, recipe),
            observers,
            resumed=True,
            notices=notices,
            profile=profile,
        )


def _settle_again(opened: Run, recipe: Recipe) -> Settled:
    """Settle a run's recipe; raises CorpusError, with what to do, where its text has moved."""
    try:
        return settle(recipe)
    except CorpusError as error:
        raise CorpusError(
            f"{error}\nwhere the text has moved, say so by data.root in "
            f"{opened.folder / layout.RECIPE}: the same text goes on with the run"
        ) from error


def load_run(folder: Path | str) -> RunResult:
    """Read the result of a finished run; raises RunError when there is none yet."""
    path = Path(folder)
    Run.open(path)
    if not (path / layout.RESULT).exists():
        raise RunError(f"{path} is not finished; `hyperprune resume {path}` goes on with it")
    return RunResult.from_json(atomic.read_json(path / layout.RESULT), path)


def _carry_out(
    opened: Run,
    settled: Settled,
    observers: Sequence[Observer],
    *,
    resumed: bool,
    notices: Sequence[str] = (),
    profile: bool = False,
) -> RunResult:
    clock, since = Clock() if profile else None, time.monotonic()
    notify = teller(opened, observers)
    metric, target = settled.task.metric, settled.target
    notify(events.RunStarted(str(opened.folder), settled.plan, resumed, metric, target))
    if who := opened.left_at_work():
        notices = [
            *notices,
            f"the sitting before this one ended without a word while {who} was at work",
        ]
    for notice in notices:
        notify(events.Notice(notice))
    try:
        with (
            stop_on_signal() as stopping,
            opened.noting() as note,
            patient(settled.recipe.search.silence, note),
            torch_threads(settled.threads),
            _open_executor(settled, notify, stopping) as executor,
        ):
            judge = Judge(settled.recipe, opened)
            result = _stages(Session(settled, opened, judge, executor, notify, clock))
    except Ended as error:
        opened.record_end(str(error))
        raise Ended(f"{error}\nthis run is over; change its recipe in a new one") from error
    except (Stopped, KeyboardInterrupt) as error:
        raise Stopped(f"stopped; `hyperprune resume {opened.folder}` goes on") from error
    finally:
        if clock is not None:
            notify(events.TimeSpent("", 0, clock.take(), time.monotonic() - since))
    atomic.write_json(opened.folder / layout.RESULT, result.to_json())
    try:
        opened.write_card(card_of(opened, result))
    except RunError as error:  # for people; no fact is in it
        notify(events.Notice(f"the run has no card: {error}"))
    notify(events.RunFinished(str(opened.folder), result.to_json()))
    return load_run(opened.folder)


def _open_executor(settled: Settled, notify: Observer, stopping: Callable[[], bool]) -> Executor:
    """The recipe's executor, with the workers that were settled on."""
    choice, gpu = settled.recipe.search.executor, settled.recipe.train.device != "cpu"
    crew = Crew(settled.workers, settled.threads, gpu, notify, stopping)
    found = registry().get("executor", choice.name)
    make = partial(found.bind(choice.options), crew)
    if found.package != GROUP:
        return Guarded(make, f"executor {found.name!r} of {found.package}")
    opened: Executor = make()
    return opened


def teller(opened: Run, observers: Sequence[Observer]) -> Observer:
    """Log every event and tell every observer; an observer that fails is dropped, and the run goes on."""
    listening = list(observers)

    def notify(event: Event) -> None:
        opened.log(event)
        for observer in list(listening):
            try:
                observer(event)
            except HyperpruneError:
                raise
            except BaseException as error:  # a full disk under a log, a screen that is gone
                if isinstance(error, KeyboardInterrupt) and by_a_person(error):
                    raise
                listening.remove(observer)
                notify(events.Notice(f"an observer failed, told no more: {said(error)}"))

    return notify


def _stages(session: Session) -> RunResult:
    """The run on one screen."""
    plan = session.settled.plan
    pin_corpus(session)
    look_at_disk(session)
    (count, epoch), *rounds = plan.rounds

    session.notify(events.StageStarted("dense", min(plan.epochs, plan.dense_epochs)))
    dense = DenseReference(session)
    session.notify(events.StageStarted("search", count * epoch))
    pool = try_arms(session, dense) if session.recipe.arms else propose(session, dense)
    every = {item.name: item for item in pool}

    later = [] if session.recipe.in_full else [*rounds, (plan.finalists, plan.epochs)]
    for number, (keep, until) in enumerate(later, start=2):
        if at_target(session, dense, pool):
            break
        pool = [item for item in pool if item.outcome.failure is None]
        if not pool:
            raise Ended(_causes(every))
        last = until == plan.epochs
        gain = until - len(pool[0].outcome.epochs)
        session.notify(
            events.StageStarted("final" if last else f"round {number}", min(keep, len(pool)) * gain)
        )
        pool = halve(session, dense, pool, number - 1, keep, until)
        every.update({item.name: item for item in pool})

    met = at_target(session, dense, every.values())
    finalists = met or rescue(session, every)
    if session.recipe.in_full and not finalists:
        raise Ended(_causes(every))
    repeated = list(every) if session.recipe.in_full else finalists
    repeats = repeat(session, every, repeated)
    tuned = tune(session, every, finalists)
    tidy(session, every, repeated)
    spent = [*(c.outcome for c in every.values()), *tuned.values()]
    saved = plan.search_epochs - sum(len(item.epochs) for item in spent) if met else 0
    with part(session.clock, "verdict"):
        return conclude(
            session.judge,
            session.settled.corpus,
            session.settled.task,
            dense.outcome,
            dense.target,
            list(every.values()),
            finalists,
            repeats,
            tuned,
            saved=saved,
        )


def _causes(every: dict[str, Candidate]) -> str:
    """Why there is nobody left."""
    causes = {c.name: c.outcome.failure.cause for c in every.values() if c.outcome.failure}
    if not causes:
        return "the searcher proposed no candidate: it says that there is nothing to try"
    if len(causes) > 1 and len(set(causes.values())) == 1:
        return (
            f"every candidate failed the same way, which is the recipe's fault and not theirs: "
            f"{next(iter(causes.values()))}"
        )
    return "every candidate failed: " + "; ".join(f"{n}: {cause}" for n, cause in causes.items())
