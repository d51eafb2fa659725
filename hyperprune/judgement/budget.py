"""Large and sparse against small and dense, within one budget: which is better, by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from hyperprune.judgement.margin import Margin, margin
from hyperprune.training.outcome import DENSE, Outcome


@dataclass(frozen=True)
class BudgetVerdict:
    """The best sparse and the best dense network that a budget's run trained in full, by mean loss.

    margin: mean best validation loss of the sparse one less the dense one's, with its interval over seeds.
    dense is the reference, or a candidate that its budget leaves whole. sparse: None where every candidate
    is dense.
    """

    said: str  # the budget
    dense: str
    sparse: str | None
    margin: Margin | None
    sparsity: float = 0.0  # of the sparse one


def budget_verdict(
    said: str, outcomes: Mapping[str, Outcome], losses: Mapping[str, Sequence[float]]
) -> BudgetVerdict:
    """Compare networks trained to the full budget of epochs; `losses` are of each seed, by name."""

    def dense(name: str) -> bool:
        last = outcomes[name].epochs[-1]
        return name == DENSE or last.active == last.masked

    def best(names: Sequence[str]) -> str | None:
        return min(names, key=lambda name: (fmean(losses[name]), name), default=None)

    small = best([name for name in losses if dense(name)]) or DENSE
    large = best([name for name in losses if not dense(name)])
    if large is None:
        return BudgetVerdict(said, small, None, None)
    last = outcomes[large].epochs[-1]
    found = margin(losses[large], losses[small])
    return BudgetVerdict(said, small, large, found, 1 - last.active / last.masked)
