"""Who works on a run: each worker's machine and device, what it does, and since when."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text

from hyperprune import events
from hyperprune.events import Event, WorkerState
from hyperprune.terms.duration import duration
from hyperprune.ui.text import safe

SLOW = 2.0
"""Times the usual epoch after which whoever trains one is called slow."""
LEAST = 5
"""Epochs that must be known before there is a usual one."""
SHORT = 5.0
"""Seconds that an epoch may take in any case."""


@dataclass
class Worker:
    """One worker as it stands."""

    name: str
    node: str
    device: str
    state: WorkerState
    candidate: str
    cause: str
    since: float  # when it took up what it does, by the clock
    epoch_since: float  # when it began the epoch it is in
    epochs: int = 0  # trained since the job began


class Workers:
    """The workers of a run, in the order of their first words. `tell` it every event."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.known: dict[str, Worker] = {}
        self._took: deque[float] = deque(maxlen=101)

    def tell(self, event: Event) -> None:
        """Take in an event."""
        now = self._clock()
        if isinstance(event, events.RunStarted):
            self.known.clear()
        elif isinstance(event, events.WorkerChanged):
            self.known[event.worker] = Worker(
                event.worker,
                event.node,
                event.device,
                event.state,
                event.candidate,
                event.cause,
                now,
                now,
            )
        elif isinstance(event, events.EpochFinished):
            for worker in self.known.values():
                if worker.state == "working" and worker.candidate == event.candidate:
                    self._took.append(now - worker.epoch_since)
                    worker.epoch_since = now
                    worker.epochs += 1

    def slow(self, worker: Worker) -> bool:
        """Whether a worker's epoch takes much longer than epochs of this run usually do."""
        if worker.state != "working" or len(self._took) < LEAST:
            return False
        usual = statistics.median(self._took)
        return self._clock() - worker.epoch_since > max(SHORT, SLOW * usual)

    def lines(self, most: int) -> list[Text]:
        """A line a worker, or one that counts them where there is not room for all."""
        if len(self.known) < 2 or most < 1:
            return []
        if len(self.known) > most:
            return [Text(self.counted(), style="dim", no_wrap=True, overflow="ellipsis")]
        return [self._line(worker) for worker in self.known.values()]

    def counted(self) -> str:
        """How many workers do what: `workers: 6 working (1 slow), 1 idle, 1 gone`."""
        states = [worker.state for worker in self.known.values()]
        slow = sum(self.slow(worker) for worker in self.known.values())
        parts = []
        for state in dict.fromkeys(states):
            late = f" ({slow} slow)" if state == "working" and slow else ""
            parts.append(f"{states.count(state)} {state}{late}")
        return f"workers: {', '.join(parts)}"

    def doing(self, worker: Worker) -> str:
        """What a worker does and since when, or why it does nothing any more."""
        ago = duration(self._clock() - worker.since)
        if worker.state == "working":
            late = (
                f", slow: {duration(self._clock() - worker.epoch_since)} in this epoch"
                if self.slow(worker)
                else ""
            )
            return f"{safe(worker.candidate)} for {ago}{late}"
        cause = f": {safe(worker.cause)}" if worker.cause else ""
        return f"{worker.state} for {ago}{cause}"

    def _line(self, worker: Worker) -> Text:
        style = {"idle": "dim", "working": "default", "gone": "red", "refused": "red"}[worker.state]
        place = f"{safe(worker.node, 30)}, {safe(worker.device, 30)}"
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{safe(worker.name, 8):<9} ", style="dim")
        line.append(f"{place}  ", style="dim")
        line.append(self.doing(worker), style="yellow" if self.slow(worker) else style)
        return line
