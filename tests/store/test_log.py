"""A log is read line by line: what is an event, and what is none."""

import json

from hyperprune.events import RunFinished
from hyperprune.store.log import LONGEST, parse


def test_the_result_of_a_run_of_many_candidates_is_an_event():
    """5,000 of them: what the end of a run says is its longest line."""
    told = RunFinished("runs/many", {"candidates": ["c" * 400] * 5000})
    line = {"time": "2026-11-29T00:00:00", "event": "RunFinished", **vars(told)}
    assert parse(json.dumps(line).encode()).event == told
    assert parse(b" " * (LONGEST + 1)) is None
