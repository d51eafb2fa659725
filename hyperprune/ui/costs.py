"""What a run will cost, and what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from hyperprune.events import Plan
from hyperprune.plan.disk import show_bytes
from hyperprune.terms.duration import duration
from hyperprune.ui.text import (
    safe,
)

if TYPE_CHECKING:
    from hyperprune.judgement.profile import Profile
    from hyperprune.plan.estimate import Estimate
from hyperprune.ui.tables import facts, plain_table


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
