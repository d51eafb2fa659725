"""What int8 costs the winner, in words, and what training as int8 gains."""

from __future__ import annotations

from hyperprune.judgement.result import RunResult
from hyperprune.ui.text import safe


def int8_words(result: RunResult) -> str:
    """One sentence on the winner, and one more where another finalist is the better int8 network."""
    found = result.int8
    own = found.point(result.winner) if found is not None else None
    if found is None or own is None:
        return ""
    text = result.metric.text
    said = (
        f"{safe(own.name)} has a validation {result.metric.words} of {text(own.valid_value)} in float32, "
        f"{text(own.rounded_value)} rounded to int8"
    )
    if own.tuned_value is None:
        said += "; its training as int8 failed"
    else:
        said += f" and {text(own.tuned_value)} after {found.after} as int8"
    kept = "trained" if own.tuned else "rounded"
    said += f"; int8 files hold the {kept} weights (test {text(found.test_value)})"
    values = {
        item.name: item.tuned_value if item.tuned else item.rounded_value
        for item in found.finalists
    }
    best = min(values, key=lambda name: (result.metric.order(values[name]), name))
    if best != own.name:
        said += f". As int8 {safe(best)} is the better one, {text(values[best])}"
    return said
