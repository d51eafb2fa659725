"""A run's card: what was done, where, how long it took, with which versions, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hyperprune.events import Notice, RunStarted
from hyperprune.judgement.result import RunResult
from hyperprune.judgement.sheets import sheet_of, spread
from hyperprune.judgement.statistics import summary
from hyperprune.judgement.study import figures_of
from hyperprune.judgement.timing import seconds_of
from hyperprune.recipe import dumps
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.write import inline
from hyperprune.store import layout
from hyperprune.store.log import Logged, read_log
from hyperprune.store.run import Run
from hyperprune.terms.duration import duration
from hyperprune.terms.sheet import cell, markdown

PLACE = ("machine", "device", "workers", "threads", "plugins")
"""What a run was made with that is no version."""
AGAIN = (
    f"To carry it out again: `hyperprune run {layout.RECIPE}` in this folder; "
    "`hyperprune run --from FOLDER` compares versions as well."
)


def card_of(run: Run, result: RunResult) -> str:
    """The card of a finished run as Markdown, from its folder alone."""
    made = run.made()
    recipe, log = made.recipe, read_log(run.folder)
    head = {
        "what": _what(recipe, result),
        "network": f"{recipe.model.name}, {result.total:,} weights, {result.masked:,} of them masked",
        "task": recipe.task.name,
        "data": _data(run),
        "trained": f"{result.search_epochs:,} epochs of candidates, {result.dense_epochs:,} of the "
        f"dense network, {recipe.train.epochs:,} at most for one",
        "where": _where(made.made_with),
        **_when(log),
        "versions": _versions(made.made_with),
    }
    told = dict.fromkeys(item.event.message for item in log if isinstance(item.event, Notice))
    notices = "".join(f"- {cell(message)}\n" for message in told)
    portable = {"data": recipe.data.model_copy(update={"root": None})}
    files = tuple(f"{layout.CODE}/{Path(path).name}" for path in recipe.plugins)
    text = dumps(recipe.model_copy(update={**portable, "plugins": files}))
    return "\n".join(
        [
            f"# {cell(recipe.title or 'untitled')}\n",
            *_facts(head),
            f"\n{AGAIN}",
            "\n## Result\n",
            *(_study(run, result) if result.arms else _facts(dict(_winner(result)))),
            *(["\n## Told on the way\n", notices.rstrip()] if notices else []),
            f"\n## Recipe\n\n```toml\n{text.rstrip()}\n```\n",
        ]
    )


def _facts(rows: Mapping[str, str]) -> Iterator[str]:
    yield from ("| | |", "|---|---|")
    yield from (f"| {key} | {cell(value)} |" for key, value in rows.items())


def _what(recipe: Recipe, result: RunResult) -> str:
    seeds = recipe.final.seeds
    from_seeds = f", {seeds} seeds" if seeds > 1 else f", seed {recipe.seed}"
    if recipe.arms:
        return f"a study of {len(recipe.arms)} arms and the dense network{from_seeds}"
    return f"a search by {recipe.search.searcher.name} over {len(result.candidates)} candidates{from_seeds}"


def _data(run: Run) -> str:
    found = [fact for fact in run.journal.records if fact["fact"] == "corpus"]
    return f"{found[0]['name']}, sha256 {found[0]['sha256']}" if found else "not known"


def _where(made_with: Mapping[str, Any]) -> str:
    workers, threads = made_with.get("workers"), made_with.get("threads")
    return (
        f"{made_with.get('device')}, {made_with.get('machine')}; workers: {workers}, "
        f"threads of each: {threads}"
    )


def _when(log: list[Logged]) -> dict[str, str]:
    """When it began, and how long its sittings took together; nothing where no log is left."""
    sittings: list[list[datetime]] = []
    for item in log:
        if isinstance(item.event, RunStarted) or not sittings:
            sittings.append([])
        sittings[-1].append(item.time)
    if not sittings:
        return {}
    seconds = sum((times[-1] - times[0]).total_seconds() for times in sittings)
    count = f" in {len(sittings)} sittings" if len(sittings) > 1 else ""
    return {
        "begun": f"{sittings[0][0]:%Y-%m-%d %H:%M:%S}",
        "took": f"{duration(seconds)}{count}, by the clock",
    }


def _versions(made_with: Mapping[str, Any]) -> str:
    own = {key: value for key, value in made_with.items() if key not in PLACE}
    plugins = made_with.get("plugins")
    others = {
        name: version
        for name, version in (plugins.items() if isinstance(plugins, Mapping) else ())
        if name not in own
    }
    return ", ".join(f"{name} {version}" for name, version in {**own, **others}.items())


def _winner(result: RunResult) -> Iterator[tuple[str, str]]:
    best, metric = result.best, result.metric
    dense = "target" if result.dense_test_value is None else "dense"
    met = f"meets {result.aim} at epoch {best.met_target}"
    settings = ", ".join(f"{path} = {inline(v)}" for path, v in best.configuration.items())
    yield "winner", result.winner
    yield "settings", settings or "the recipe's own"
    yield (
        f"validation {metric.words}",
        f"{metric.text(best.valid_value)} at epoch {best.best_epoch}; {dense} "
        f"{metric.text(result.dense_value)}; "
        f"{met if best.met_target else f'does not meet {result.aim}'}",
    )
    tested = metric.text(result.test_value)
    if result.dense_test_value is not None:
        tested += f"; dense {metric.text(result.dense_test_value)}"
    yield f"test {metric.words}", tested
    point = None if result.int8 is None else result.int8.point(result.winner)
    if result.int8 is not None and point is not None:
        yield (
            "as int8",
            f"validation {metric.text(point.rounded_value)} rounded, {metric.text(point.tuned_value)} after "
            f"{result.int8.after} as int8; test {metric.text(result.int8.test_value)} of the "
            f"{'trained' if point.tuned else 'rounded'} ones, which int8 files hold",
        )
    if len(result.values) > 1:
        told = [
            spread(summary(found), metric.text) for found in (result.values, result.dense_values)
        ]
        yield "over seeds", f"validation {told[0]}; dense {told[1]}"
    share = 1 - result.active / result.masked if result.masked else 0.0
    yield (
        "sparsity",
        f"{share:.4f}: {result.active:,} of {result.masked:,} masked weights are active",
    )


def _study(run: Run, result: RunResult) -> Iterator[str]:
    figures = figures_of(result.arms, seconds_of(run.folder))
    yield markdown(sheet_of(figures, result.metric))
    yield (
        f"\nValues are {result.metric.many}: mean ± standard deviation over seeds; differences are over "
        "common seeds, with a 95 % interval by Student's t. One seed has neither."
    )
