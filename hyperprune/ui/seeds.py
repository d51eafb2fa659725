"""What several seeds say of a winner, in words."""

from __future__ import annotations

from hyperprune.judgement.result import RunResult
from hyperprune.ui.text import margin_words


def seed_words(result: RunResult) -> str:
    """The winner and the dense network over seeds, and whether their difference is more than noise.

    Nothing where one of them has a single seed.
    """
    if result.margin is None or result.margin.low is None or result.margin.high is None:
        return ""
    own, dense = (
        ", ".join(result.metric.text(value) for value in values)
        for values in (result.values, result.dense_values)
    )
    value, low, high, unit = margin_words(result.metric, result.margin)
    verdict = {
        True: "meets the target",
        False: "does not meet the target",
        None: "which may be chance",
    }
    return (
        f"{own}; dense {dense}: {value}{unit}, 95 % interval {low} … {high}{unit}, "
        f"{verdict[result.margin.met]}"
    )
