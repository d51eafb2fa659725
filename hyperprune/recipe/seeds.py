"""`seeds` at the top of a recipe: a list, or how many from `seed` on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hyperprune.recipe.problems import Problem, show

MOST = 999
"""Seeds of one recipe."""


def settle_seeds(document: dict[str, Any]) -> Iterator[Problem]:
    """Write `seeds` out as a list, in place, with the `seed` and `final.seeds` that follow from it."""
    seeds = document.get("seeds")
    if seeds is None or seeds == []:
        return
    expected = "expected a list of different seeds, such as [1, 2, 3], or how many"
    if _whole(seeds):
        first = document.get("seed", 1)
        if not 1 <= seeds <= MOST or not _whole(first):
            yield Problem("seeds", f"found {show(seeds)}; {expected}, 1 to {MOST}", also=("seed",))
            return
        seeds = [(first + k) % 2**63 for k in range(seeds)]
    if (
        not isinstance(seeds, list)
        or not all(_whole(item) and 0 <= item < 2**63 for item in seeds)
        or not len(set(seeds)) == len(seeds) <= MOST
    ):
        yield Problem("seeds", f"found {show(seeds)}; {expected}")
        return
    if document.get("seed", seeds[0]) != seeds[0]:
        yield Problem(
            "seed", f"found {show(document['seed'])}; seeds begins with {seeds[0]}: leave one out"
        )
    final = document.setdefault("final", {})
    if isinstance(final, dict):
        if final.get("seeds", len(seeds)) != len(seeds):
            yield Problem(
                "final.seeds",
                f"found {show(final['seeds'])}; there are {len(seeds)} seeds: leave it out",
            )
        final["seeds"] = len(seeds)
    document["seeds"], document["seed"] = seeds, seeds[0]


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
