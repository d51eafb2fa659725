"""A run as TensorBoard curves: one line a candidate, against its epochs.

Written by tensorboardX, which needs neither TensorFlow nor TensorBoard itself; read them with
`tensorboard --logdir RUN/tensorboard`. Its plain writer is used, not the one with a thread: what an
event tells is on the disk when the observer returns.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperprune import events, hookimpl
from hyperprune.hookspecs import Contributions

LARGEST = 700.0
"""Nats, whose exp is still a number."""

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

    from hyperprune.events import Event, Observer
    from hyperprune.task import Metric


def tensorboard(folder: Path, *, subfolder: str = "tensorboard") -> Observer:
    """Losses, the metric, LS distance and largest exponent of every candidate, for TensorBoard."""
    writers: dict[str, EventsWriter] = {}
    metric: Metric = events.RunStarted.metric

    def write(candidate: str, step: int, *summaries: Any) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event as Record

        if candidate not in writers:
            place = folder / subfolder / candidate
            place.mkdir(parents=True, exist_ok=True)
            writers[candidate] = EventsWriter(str(place / "events"))
        for summary in summaries:
            record = Record(wall_time=time.time(), step=step, summary=summary)
            writers[candidate].write_event(record)
        writers[candidate].flush()  # a run may stop at any time

    def observe(event: Event) -> None:
        from tensorboardX.summary import scalar, text

        nonlocal metric
        if isinstance(event, events.RunStarted):
            metric = event.metric
        told = facts(event, metric)
        if told is not None:
            candidate, epoch, numbers = told
            write(candidate, epoch, *(scalar(name, value) for name, value in numbers.items()))
        elif isinstance(event, events.CandidateProposed):
            lines = (f"{key}: {value}" for key, value in event.configuration.items())
            write(event.candidate, 0, text("configuration", "  \n".join(lines)))
        elif isinstance(event, events.CandidateFailed):
            write(event.candidate, event.epoch, text("failure", event.cause))
        elif isinstance(event, events.RunFinished):
            for writer in writers.values():
                writer.close()
            writers.clear()

    return observe


@functools.singledispatch
def facts(event: Any, metric: Metric) -> tuple[str, int, dict[str, float]] | None:
    """Candidate, epoch and numbers that an event tells, if it does; its cost as a value of the metric."""
    return None


@facts.register
def _(event: events.EpochFinished, metric: Any) -> tuple[str, int, dict[str, float]]:
    return event.candidate, event.epoch, {"loss/train": event.train_loss}


@facts.register
def _(event: events.SpectrumMeasured, metric: Any) -> tuple[str, int, dict[str, float]]:
    scalars = {
        "loss/valid": event.valid_loss,
        f"{metric.name}/valid": metric.value(min(event.cost, LARGEST)),
    }
    spectrum = {"largest_exponent": event.largest, "lost": event.lost, "distance": event.distance}
    told = {f"spectrum/{name}": value for name, value in spectrum.items() if value is not None}
    return event.candidate, event.epoch, scalars | told


@hookimpl
def hyperprune_observers() -> Contributions:
    """Offer the observer."""
    return {"tensorboard": tensorboard}
