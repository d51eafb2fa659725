"""A budget's run in words: whether large and sparse or small and dense is better, and by how much."""

from __future__ import annotations

from hyperprune.judgement.result import RunResult
from hyperprune.ui.text import margin_words, safe


def budget_words(result: RunResult) -> str:
    """One sentence: which network is better within the budget, by how much, with what noise."""
    found = result.budget
    if found is None:
        return ""
    known = {point.name: point.valid_value for point in result.frontier}
    arms = {arm.candidate: arm.name for arm in result.arms}

    def called(name: str) -> str:
        own = arms.get(name, name)
        value = result.metric.text(known[name])
        return f"{safe(own)} ({value})"

    if found.sparse is None or found.margin is None:
        return f"within {found.said} no sparse network was trained to the end; {called(found.dense)} is dense"
    better = found.margin.value < 0
    won, lost = (
        ("large and sparse", "small and dense")
        if better
        else ("small and dense", "large and sparse")
    )
    value, low, high, unit = margin_words(result.metric, found.margin)
    said = (
        f"within {found.said} {won} is better than {lost}: {called(found.sparse)} at sparsity "
        f"{found.sparsity:.4f} against {called(found.dense)}, {value}{unit}"
    )
    if found.margin.low is None:
        return f"{said}; one seed, so that a difference of this size may be chance"
    doubt = "" if found.margin.met is not None else ", which may be chance"
    return f"{said}, 95 % interval over {len(result.values)} seeds {low} … {high}{unit}{doubt}"
