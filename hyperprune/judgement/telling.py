"""What observers are told of an epoch, by runs and by studies alike."""

from __future__ import annotations

import contextlib

from hyperprune import events
from hyperprune.errors import PluginError, SpectrumError
from hyperprune.judgement.judge import Judge
from hyperprune.training.outcome import EpochRecord


def spectrum_measured(
    judge: Judge, name: str, record: EpochRecord, *, scored: bool
) -> events.SpectrumMeasured:
    """The event of an epoch's record; `scored` says whether its distance is asked for.

    A distance that cannot be measured is None: whoever judges by it says so.
    """
    distance = None
    if scored:
        with contextlib.suppress(PluginError, SpectrumError):
            distance = judge.score(name, record.epoch)
    return events.SpectrumMeasured(
        name,
        record.epoch,
        record.valid_loss,
        distance.value if distance else None,
        distance.standard_error if distance else None,
        distance.noise if distance else None,
        record.largest,
        record.floored,
        record.lost,
        record.exponents,
        record.valid_cost,
        judge.arrived_by(name, record.epoch),
    )
