"""What a run found, as tables for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from rich import box
from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from hyperprune.events import Plan
from hyperprune.judgement.result import TELLING, CandidateResult, RunResult
from hyperprune.plan.disk import show_bytes
from hyperprune.terms.duration import duration
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.terms.sheet import Sheet
from hyperprune.ui.budget import budget_words
from hyperprune.ui.int8 import int8_words
from hyperprune.ui.text import (
    configuration,
    four_places,
    margin_words,
    measured,
    number,
    rests_on_few,
    safe,
    setting,
    short_names,
)

if TYPE_CHECKING:
    from hyperprune.judgement.profile import Profile
    from hyperprune.judgement.standing import Standing
    from hyperprune.plan.estimate import Estimate

STYLES = {"winner": "bold green", "finalist": "green", "eliminated": "dim", "failed": "red"}
ORDER = ("winner", "finalist", "unfinished", "eliminated", "failed")


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Two columns: what, and how much."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value) if isinstance(value, str) else value)
    return table


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table with a rule under its heads; columns named in `right` hold numbers."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for name in columns:
        count = name in right  # what is a number stays on its line, or is cut with a mark
        justify: JustifyMethod = "right" if count else "left"
        table.add_column(
            Text(safe(name), no_wrap=True),
            justify=justify,
            no_wrap=count,
            overflow="ellipsis" if count else "fold",
        )
    return table


def result_facts(result: RunResult) -> RenderableType:
    """The winner, beside the dense target, and what the search cost."""
    best, metric = result.best, result.metric
    share = 1 - result.active / result.masked if result.masked else 0.0
    whole = (result.masked - result.active) / result.total if result.total else 0.0
    against = (
        f"; full training of each takes {result.full_search_epochs:,}, "
        f"{result.full_search_epochs / result.search_epochs:.1f} × as many"
        if result.search_epochs
        else ""
    )
    met = f"meets {result.aim} at epoch {best.met_target}" if best.met_target else ""
    given = result.dense_test_value is None
    dense_test = "" if given else f"; dense {metric.text(result.dense_test_value)}"
    verdict = Text.assemble(
        metric.text(best.valid_value),
        f" at epoch {best.best_epoch}; {'target' if given else 'dense'} "
        f"{metric.text(result.dense_value)}; ",
        (met, "green") if met else (f"does not meet {result.aim}", "yellow"),
    )
    return facts(
        [
            ("winner", Text(safe(result.winner), "bold green")),
            ("settings", configuration(best.configuration) or "the recipe's own"),
            (f"validation {metric.words}", verdict),
            (
                f"test {metric.words}",
                f"{metric.text(result.test_value)}{dense_test}",
            ),
            (
                "sparsity",
                f"{share:.4f}: {result.active:,} of {result.masked:,} masked weights are active "
                f"({whole:.4f} of the model's {result.total:,} are zero)",
            ),
            (
                "epochs",
                f"{result.search_epochs:,} for {len(result.candidates)} candidates{against}; "
                f"dense reference {result.dense_epochs:,}",
            ),
            ("LS distance", _distance(best)),
            ("lost directions", _lost(best)),
            ("early signal", _signal(result)),
            *_goal(result),
            *_budget(result),
            *_int8(result),
            *_overlooked(result),
            *_seeds(result),
            *_stopped(result),
            ("run folder", safe(result.folder)),
        ]
    )


def study_facts(result: RunResult) -> RenderableType:
    """What a study came to, above its table."""
    best = next((arm.name for arm in result.arms if arm.candidate == result.winner), result.winner)
    return facts(
        [
            ("study", Text(safe(result.title or "untitled"), "bold")),
            (
                f"best validation {result.metric.words}",
                f"{safe(best)} ({safe(result.winner)}), by the mean over seeds",
            ),
            (
                "epochs",
                f"{result.search_epochs:,} of arms, {result.dense_epochs:,} of the dense network",
            ),
            *_budget(result),
            *_int8(result),
            ("run folder", safe(result.folder)),
        ]
    )


def candidate_rows(candidates: Sequence[CandidateResult]) -> tuple[list[str], list[list[Any]]]:
    """Candidates as heads and rows of plain values, a column a setting by its path."""
    paths = list(dict.fromkeys(path for item in candidates for path in item.configuration))
    known = [field.name for field in fields(CandidateResult) if field.name != "configuration"]
    rows = [
        [
            *(getattr(item, name) for name in known),
            *(setting(item.configuration[p]) if p in item.configuration else None for p in paths),
        ]
        for item in candidates
    ]
    return [*known, *paths], rows


def candidate_sheet(candidates: Sequence[CandidateResult]) -> Sheet:
    """Candidates, best first, as a table for a paper."""
    names = short_names(path for item in candidates for path in item.configuration)
    heads = ("candidate", *names.values(), "epochs", "LS distance", "validation", "state")
    return Sheet(
        heads,
        [
            (
                item.name,
                *(setting(item.configuration.get(path, "–")) for path in names),
                str(item.epochs),
                measured(item.distance, item.distance_error),
                four_places(item.valid_value),
                item.state,
            )
            for item in sorted(candidates, key=lambda item: (ORDER.index(item.state), item.name))
        ],
    )


def _distance(item: CandidateResult) -> str:
    """A distance with its standard error and the same-model noise."""
    said = [f"{measured(item.distance, item.distance_error)} after epoch {item.epochs}"]
    if item.distance_noise is not None:
        said += [
            f"halves of one model's own sequences lie {four_places(item.distance_noise)} apart"
        ]
    few = rests_on_few(item.rests_on, item.exponents)
    return "; ".join([*said, *([few] if few else [])])


def _lost(item: CandidateResult) -> str:
    """Directions below the resolution, which a distance counts but does not compare by value."""
    if item.lost is None or item.dense_lost is None:
        return "not known"
    return f"{item.lost:.4g} of {item.exponents} exponents; dense {item.dense_lost:.4g}"


def _seeds(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    """The winner and the dense network over seeds, and whether their difference is more than noise."""
    if result.margin is None or result.margin.low is None or result.margin.high is None:
        return
    own, dense = (
        ", ".join(result.metric.text(value) for value in values)
        for values in (result.values, result.dense_values)
    )
    value, low, high, unit = margin_words(result.metric, result.margin)
    verdict = {True: "meets the target", False: "does not meet the target"}
    yield (
        "over seeds",
        f"{own}; dense {dense}: {value}{unit}, 95 % interval {low} … {high}{unit}, "
        + (verdict[result.margin.met] if result.margin.met is not None else "which may be chance"),
    )


def _stopped(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    if result.saved_epochs:
        yield (
            "stopped early",
            f"at the target, {result.saved_epochs:,} epochs before the plan's end",
        )


def _goal(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    """What a search for a small network came to, and the trade-off that its finalists leave."""
    if result.goal == "perplexity":
        return
    share = 1 - result.active / result.masked if result.masked else 0.0
    met = any(point.meets_target for point in result.frontier)
    yield (
        "goal",
        f"{result.goal}: "
        + (
            f"{safe(result.winner)}, at sparsity {share:.4f}, is the sparsest finalist that meets the target"
            if met
            else f"no finalist meets the target; the best {result.metric.words} won"
        ),
    )
    rows = _frontier(result, "weights", "finalist")
    rows.add_row("0", f"{result.masked:,}", result.metric.text(result.dense_value), "dense")
    yield "frontier", rows


def _budget(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    """The verdict of a budget, and every network that stands in its frontier."""
    if result.budget is None:
        return
    yield "budget", budget_words(result)
    yield "frontier", _frontier(result, "kept", "network")


def _int8(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    """What rounding costs, and what training as int8 gains."""
    if result.int8 is not None:
        yield "int8", int8_words(result)


def _frontier(result: RunResult, size: str, network: str) -> Table:
    """Whom nobody beats, the smallest first, under heads for the size and for who it is."""
    arms = {arm.candidate: arm.name for arm in result.arms}
    rows = plain_table("sparsity", size, result.metric.words, network, right=(size,))
    for point in result.frontier:
        rows.add_row(
            f"{point.sparsity:.4f}",
            f"{point.active:,}",
            Text(result.metric.text(point.valid_value), "green" if point.meets_target else ""),
            safe(arms.get(point.name, point.name)),
        )
    return rows


def _overlooked(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    """The eliminated candidate that was better than the winner, if any: shown, not hidden."""
    found = next((item for item in result.candidates if item.name == result.overlooked), None)
    if found is not None:
        yield (
            "overlooked",
            Text(
                f"{safe(found.name)} went out after {found.epochs} epochs with "
                f"{result.metric.text(found.valid_value)}, better than the winner: `final.rescue` would "
                "have trained it on",
                "yellow",
            ),
        )


def _signal(result: RunResult) -> str:
    signal = result.signal
    if not signal.telling or (signal.early_distance is None and signal.early_loss is None):
        return f"{signal.survivors} survivors of round 1 say nothing of it: fewer than {TELLING}"
    return (
        f"rank correlation with the last known {result.metric.words} over {signal.survivors} survivors: "
        f"LS distance {number(signal.early_distance, 2)}, loss {number(signal.early_loss, 2)}"
    )


def candidate_table(
    candidates: Sequence[CandidateResult],
    target: float | None,
    width: int,
    metric: Metric = PERPLEXITY,
) -> Table:
    """Every candidate, best first: settings, epochs, LS distance, best of the metric, state.

    Where `width` has no room for a column a setting, they share one, and what is said elsewhere
    (errors, when the target was met) is left out; where it has none for all others, some are.
    """
    wide = _wide_candidates(candidates, metric)
    fits = Console(width=10_000).measure(wide).maximum <= width
    return wide if fits else _narrow_candidates(candidates, width, metric)


LEFT_OUT = {"distance": 67, "epochs": 57, "settings": 49}
"""Columns of a narrow table, and the window's width below which it goes without them."""


def _narrow_candidates(candidates: Sequence[CandidateResult], width: int, metric: Metric) -> Table:
    columns = ("candidate", "settings", "epochs", "distance", metric.words, "state")
    shown = [name for name in columns if width >= LEFT_OUT.get(name, 0)]
    table = plain_table(*shown, right=("epochs", "distance", metric.words))
    names = short_names(path for item in candidates for path in item.configuration)
    for item in sorted(candidates, key=partial(_rank, metric)):
        values = [setting(item.configuration.get(path, "–")) for path in names]
        cells = {
            "candidate": Text(safe(item.name), no_wrap=True),
            "settings": Text(" · ".join(values)),
            "epochs": Text(str(item.epochs)),
            "distance": Text(measured(item.distance, None)),
            metric.words: _best(item, metric),
            "state": _state(item),
        }
        style = "dim" if item.state == "eliminated" else ""
        table.add_row(*(cells[name] for name in shown), style=style)
    table.columns[0].no_wrap = True
    return table


def _wide_candidates(candidates: Sequence[CandidateResult], metric: Metric) -> Table:
    names = short_names(path for item in candidates for path in item.configuration)
    numbers = ["epochs", "LS distance", "lost", metric.words, "met target"]
    table = plain_table("candidate", *names.values(), *numbers, "state", right=numbers)
    for item in sorted(candidates, key=partial(_rank, metric)):
        table.add_row(
            Text(safe(item.name), no_wrap=True),
            *(Text(setting(item.configuration.get(path, "–"))) for path in names),
            str(item.epochs),
            Text(measured(item.distance, item.distance_error), no_wrap=True),
            number(item.lost),
            _best(item, metric),
            _epoch(item.met_target),
            _state(item),
            style="dim" if item.state == "eliminated" else "",
        )
    return table


def _best(item: CandidateResult, metric: Metric) -> Text:
    met = item.met_target is not None
    return Text(metric.text(item.valid_value), "green" if met else "", no_wrap=True)


def _state(item: CandidateResult) -> Text:
    state = f"{item.state}: {safe(item.cause)}" if item.cause else item.state
    return Text(state, STYLES.get(item.state, ""), no_wrap=not item.cause)


def _epoch(epoch: int | None) -> str:
    return "–" if epoch is None else f"epoch {epoch}"


def _rank(metric: Metric, item: CandidateResult) -> tuple[int, float, str]:
    return ORDER.index(item.state), metric.order(item.valid_value), item.name


def topology_table(topology: Mapping[str, Any]) -> RenderableType:
    """Who has how many active weights, from a topology record."""
    numbers = ("weights", "active", "sparsity", "removed", "grown", "ever active")
    table = plain_table("tensor", "shape", *numbers, "active by gate", right=numbers)
    weights = active = 0
    for tensor in topology["tensors"]:
        size = 1
        for extent in tensor["shape"]:
            size *= extent
        weights, active = weights + size, active + tensor["active"]
        gates = tensor.get("gates") or {}
        table.add_row(
            Text(safe(tensor["name"]), no_wrap=True),
            " × ".join(str(extent) for extent in tensor["shape"]),
            f"{size:,}",
            f"{tensor['active']:,}",
            f"{1 - tensor['active'] / size:.4f}",
            f"{tensor['removed']:,}",
            f"{tensor['grown']:,}",
            f"{tensor['ever_active'] / size:.3f}",
            Text(", ".join(f"{safe(gate)} {count:,}" for gate, count in gates.items())),
        )
    table.add_section()
    share = f"{1 - active / weights:.4f}" if weights else "–"
    table.add_row("all", "", f"{weights:,}", f"{active:,}", share, "", "", "", "")
    return table


def plan_facts(plan: Plan) -> RenderableType:
    """What a run will do, and what it saves against full training of every candidate."""
    rounds = plain_table("round", "candidates", "to epoch", right=("candidates", "to epoch"))
    for number_, (count, epoch) in enumerate(plan.rounds, start=1):
        rounds.add_row(str(number_), str(count), str(epoch))
    rounds.add_row("final", str(plan.finalists), str(plan.epochs))
    cost = plan.dense_epochs + plan.search_epochs
    factor = plan.full_search_epochs / plan.search_epochs if plan.search_epochs else 0.0
    return Group(
        facts(
            [
                ("recipe", Text(safe(plan.title or "untitled"), "bold")),
                ("dense reference", f"{plan.dense_epochs:,} epochs"),
                ("search", f"{plan.candidates} candidates, {plan.search_epochs:,} epochs"),
                ("in total", f"{cost:,} epochs"),
                (
                    "by full training",
                    f"{plan.full_search_epochs:,} epochs of candidates, {factor:.1f} × as many",
                ),
            ]
        ),
        rounds,
    )


def estimate_facts(cost: Estimate) -> RenderableType:
    """What a run costs on this machine, as timed."""
    side = f", {cost.workers} candidates side by side" if cost.workers > 1 else ""
    return facts(
        [
            ("model", f"{cost.parameters:,} parameters"),
            ("training step", f"{duration_of_step(cost.step)}, {cost.steps:,} in an epoch"),
            (
                "epoch",
                f"about {duration(cost.epoch)} (validation {duration(cost.validation)}, "
                f"spectrum {duration(cost.spectrum)})",
            ),
            ("disk", f"up to {show_bytes(cost.disk)}"),
            ("the run", Text(f"about {duration(cost.run)} on this machine{side}", "bold")),
        ]
    )


def duration_of_step(seconds: float) -> str:
    """Seconds of something short."""
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def profile_table(profile: Profile) -> RenderableType:
    """Seconds of each network by part, and of the process that leads the run."""
    columns = profile.columns
    table = plain_table("network", *columns, "all", right=(*columns, "all"))
    for row in profile.rows:
        name = Text(safe(row.name), no_wrap=True) if row.name else Text("the run itself", "dim")
        cells = (f"{row.parts[part]:.2f}" if part in row.parts else "–" for part in columns)
        table.add_row(name, *cells, f"{row.total:.2f}")
    return table


def measure_table(rows: Sequence[Measured]) -> RenderableType:
    """Every form of a network: its file, memory, latencies and perplexity, beside the first's."""
    numbers = (
        "file", "weights", "resident", "step", "× as fast", "35 steps, batch 20", "perplexity",
    )  # fmt: skip
    table = plain_table("form", *numbers, right=numbers)
    for row in rows:
        table.add_row(
            Text(row.form, no_wrap=True),
            show_bytes(row.file),
            show_bytes(row.memory),
            "–" if row.resident is None else show_bytes(row.resident),
            f"{1000 * row.step:.2f} ms",
            f"{rows[0].step / row.step:.2f}",
            f"{1000 * row.segment:.1f} ms",
            PERPLEXITY.text(row.perplexity),
        )
    return table


class Measured(Protocol):
    """What the table shows of one form; `hyperprune.export.measure` makes it."""

    @property
    def form(self) -> str: ...  # noqa: D102
    @property
    def file(self) -> int: ...  # noqa: D102
    @property
    def memory(self) -> int: ...  # noqa: D102
    @property
    def resident(self) -> int | None: ...  # noqa: D102
    @property
    def step(self) -> float: ...  # noqa: D102
    @property
    def segment(self) -> float: ...  # noqa: D102
    @property
    def perplexity(self) -> float | None: ...  # noqa: D102


def unfinished(standing: Standing) -> RenderableType:
    """How far a run is that has no result yet, or why there will be none."""
    over = standing.ended is not None
    return facts(
        [
            ("run", Text(safe(standing.title or "untitled"), "bold")),
            ("state", Text("over, without a result" if over else "not finished", "yellow")),
            ("dense reference", f"{standing.dense_epochs}/{standing.epochs} epochs"),
            ("dense target", standing.metric.text(standing.target)),
            ("cause", safe(standing.ended, 2000))
            if over
            else ("go on with", f"hyperprune resume {safe(standing.folder)}"),
            *([("what to do", "change the recipe, in a new run")] if over else []),
        ]
    )
