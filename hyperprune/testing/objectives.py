"""The suite that every objective passes: `check_objective(mine)`."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

from hyperprune.search.objective import Comparison, Objective, Score, needs_of, scores
from hyperprune.testing.tiny import tiny_comparison

KNOWN = {"distances", "dense"}


def check_objective(objective: Objective) -> None:
    """Assert that an objective keeps its contract.

    A finite score for each of one, two and many candidates, after one epoch and after several; the
    same when asked again; to each candidate its own, in whatever order they come; nothing written
    to. What it does not declare a need for may be absent.
    """
    needed = needs_of(objective)
    assert needed <= KNOWN, f"it needs {sorted(needed - KNOWN)}, which is none of {sorted(KNOWN)}"
    for count in (1, 2, 7):
        for epochs in (1, 2, 5):
            compared = without(tiny_comparison(count, epochs), KNOWN - needed)
            before = copy.deepcopy(compared)
            found = scores(objective, compared)
            assert compared == before, "an objective writes to what it is shown"
            assert scores(objective, compared) == found, "it differs when asked again"
            check_order(objective, compared, found)
    one = tiny_comparison(1, 3)
    alike = replace(one, candidates=(one.candidates[0],) * 3)
    same = {item.value for item in scores(objective, alike)}
    assert max(same) - min(same) < 1e-9, f"equal candidates get different scores: {sorted(same)}"


def check_order(objective: Objective, compared: Comparison, found: list[Score]) -> None:
    """Assert that a candidate's score does not depend on its place in the list."""
    order = list(range(len(found)))
    random.Random(3).shuffle(order)
    shuffled = replace(compared, candidates=tuple(compared.candidates[i] for i in order))
    again = scores(objective, shuffled)
    for place, index in enumerate(order):
        gap = abs(again[place].value - found[index].value)
        assert gap <= 1e-6 * max(1.0, abs(found[index].value)), (
            "a score depends on where in the list its candidate stands"
        )


def without(compared: Comparison, absent: set[str]) -> Comparison:
    """The same comparison, lacking what an objective has not asked for."""
    if "dense" in absent:
        compared = replace(compared, dense=None)
    if "distances" in absent:
        bare = tuple(
            replace(item, distances=(), errors=(), noises=(), lost=())
            for item in compared.candidates
        )
        compared = replace(compared, candidates=bare)
    return compared
