"""The suite that every observer passes: `check_observer(mine)`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hyperprune import events
from hyperprune.events import Event, Observer

PLAN = events.Plan("tiny", 2, ((2, 3), (1, 4)), 1, 4, 4, 8, 8)
EVENTS: tuple[Event, ...] = (
    events.StageStarted("dense", 4),
    events.StepFinished(events.DENSE, 1, 3, 10),
    events.EpochFinished(events.DENSE, 1, 2.5, 2.4, False),
    events.SpectrumMeasured(events.DENSE, 1, 2.4, None, None, None, -0.1, 0),
    events.StageStarted("search", 6),
    events.CandidateProposed("c000", {"prune.removal_rate": 0.5, "prune.removal": {"name": "x"}}),
    events.EpochFinished("c000", 1, 2.6, 2.5, True),
    events.SpectrumMeasured("c000", 1, 2.5, 0.3, 0.01, 0.02, -0.2, 1, 12.5, 64),
    events.SpectrumMeasured("c000", 2, 2.4, None, None, None, None, 0),  # spectrum.measure = false
    events.CandidateProposed("c001", {"prune.removal_rate": 0.7}),
    events.CandidateFailed("c001", 1, "the loss is not finite"),
    events.WorkerChanged("w1", "host", "cpu", 4711, "working", "c001"),
    events.WorkerSaid("w1", "warning: something odd"),
    events.WorkerChanged("w1", "host", "cpu", 4711, "gone", "c001", "it was killed"),
    events.RoundFinished(1, ("c000",), ("c001",)),
    events.TimeSpent("c000", 1, {"forward": 0.5, "other": 0.25}, 0.75),
    events.Notice("something to know"),
)
"""One event of every type that comes between the start and the end of a run."""


def check_observer(observe: Callable[[Path], Observer]) -> None:
    """Assert that an observer handles every event, of a new run and of a resumed one.

    It must not change files that it finds in the run folder.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        found = folder / "journal.jsonl"
        found.write_text("{}\n", encoding="utf-8")
        for resumed in (False, True):
            told = observe(folder)
            assert callable(told), "an observer is a function that is called with each event"
            told(events.RunStarted(str(folder), PLAN, resumed))
            for event in EVENTS:
                told(event)
            told(events.RunFinished(str(folder), {"winner": "c000"}))
            assert found.read_text(encoding="utf-8") == "{}\n", "it writes to the run's own files"
