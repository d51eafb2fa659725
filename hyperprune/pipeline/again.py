"""A run's recipe once more: settled anew, and what differs from when the run was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hyperprune.judgement.result import RunResult
from hyperprune.judgement.standing import open_run
from hyperprune.pipeline.changes import other_versions
from hyperprune.pipeline.run import load_run
from hyperprune.plan.settle import Settled, settle
from hyperprune.recipe import dumps, loads
from hyperprune.store import layout


def settled_from(
    folder: Path, overrides: Sequence[str] = (), plugins: Sequence[str | Path] = ()
) -> Settled:
    """Settle the recipe that a run was made from, changed by overrides; its own code is run.

    What is not as it was then (versions, workers, threads, the text) is among the notices. Raises
    RunError where the folder is no run, or its code was changed, and what `settle` raises.
    """
    run = open_run(folder)
    run.check_code()  # before any of it is run
    made = run.made()
    source = str(folder / layout.MADE)
    settled = settle(loads(dumps(made.recipe), source, overrides, plugins=plugins))
    notices = [f"the recipe is that of {folder}"]
    notices += other_versions(made.made_with, settled.recipe, f"{folder} was made")
    known = [fact["sha256"] for fact in run.journal.records if fact["fact"] == "corpus"]
    text = settled.corpus.sha256
    if known and known[0] != text:
        notices.append(
            f"the data are not those of {folder} (sha256 {known[0][:12]}…, now {text[:12]}…): "
            "this is another experiment"
        )
    return replace(settled, notices=(*settled.notices, *notices))


def held_against(folder: Path, result: RunResult) -> str:
    """Whether a run came to what the run in a folder came to, in words; nothing where that has no end."""
    if not (folder / layout.RESULT).exists():
        return ""
    other = load_run(folder)
    if other.to_json() == result.to_json():
        return f"the same result as {folder}, to the last digit"
    first, second = (
        f"{item.winner} with {item.metric.words} {item.metric.text(item.best.valid_value)}"
        for item in (other, result)
    )
    return (
        f"not the result of {folder}: there {first}, here {second} (validation); "
        f"`hyperprune compare {folder} {result.folder}` shows more"
    )
