"""What a run found, in words and figures for a person."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hyperprune.judgement.result import TELLING, CandidateResult, RunResult
from hyperprune.ui.budget import budget_words
from hyperprune.ui.candidates import compared
from hyperprune.ui.int8 import int8_words
from hyperprune.ui.seeds import seed_words
from hyperprune.ui.tables import facts, plain_table
from hyperprune.ui.text import (
    configuration,
    four_places,
    measured,
    number,
    rests_on_few,
    safe,
)


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
    dense_test = "" if result.given else f"; dense {metric.text(result.dense_test_value)}"
    verdict = Text.assemble(
        metric.text(best.valid_value),
        f" at epoch {best.best_epoch}; {'target' if result.given else 'dense'} "
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
            *_spectral(result),
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


def _spectral(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    """What spectra say of the winner, where any candidate's was held against the dense reference's."""
    if compared(result.candidates):
        yield "LS distance", _distance(result.best)
        yield "lost directions", _lost(result.best)


def _seeds(result: RunResult) -> Iterator[tuple[str, RenderableType]]:
    if said := seed_words(result):
        yield "over seeds", said


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
    aim = result.metric.text(result.metric.mean(result.dense_values))
    if result.given:
        rows.add_row("–", "–", aim, "target")
    else:
        sizes = {round(p.active / (1 - p.sparsity)) for p in result.frontier if p.sparsity < 1}
        dense = f"{result.masked:,}" if sizes <= {result.masked} else "–"  # else of several sizes
        rows.add_row("0", dense, aim, "dense")
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


def _signal(result: RunResult) -> str:
    signal = result.signal
    if not signal.telling or (signal.early_distance is None and signal.early_loss is None):
        return f"{signal.survivors} survivors of round 1 say nothing of it: fewer than {TELLING}"
    return (
        f"rank correlation with the last known {result.metric.words} over {signal.survivors} survivors: "
        f"LS distance {number(signal.early_distance, 2)}, loss {number(signal.early_loss, 2)}"
    )
