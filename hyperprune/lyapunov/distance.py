"""A distance between two spectra with its error and its noise, for any metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from hyperprune.lyapunov.record import LyapunovSpectrum

Metric: TypeAlias = Callable[[LyapunovSpectrum, LyapunovSpectrum], float]


@dataclass(frozen=True)
class Distance:
    """A distance, how sure it is, and how far apart one and the same model lies from itself.

    standard_error: jackknife over sequences, candidate and reference losing the same one; None
        where they do not share at least two sequences.
    noise: the metric between two disjoint halves of one model's sequences, mean over candidate and
        reference; None with fewer than two sequences. A distance below it says little.
    """

    value: float
    standard_error: float | None
    noise: float | None


def distance_with_error(
    metric: Metric, candidate: LyapunovSpectrum, reference: LyapunovSpectrum
) -> Distance:
    """Measure a distance with its standard error and its same-model noise (method, section 9).

    Both spectra were measured on the same sequences, so what a sequence adds to both cancels: the
    jackknife (Efron & Stein 1981) leaves it out of both at once.
    """
    candidate.check_comparable(reference)
    return Distance(
        metric(candidate, reference),
        _jackknife(metric, candidate, reference),
        _mean([_halves(metric, spectrum) for spectrum in (candidate, reference)]),
    )


RESOLUTION = -8.0
"""Half the logarithm of float32's rounding: exponents below it cannot be told from −∞."""


def lost_directions(spectrum: LyapunovSpectrum) -> float:
    """Exponents below the resolution, mean over sequences: directions whose size is rounding."""
    return float((spectrum.per_sequence < RESOLUTION).sum(1).double().mean())


def _jackknife(
    metric: Metric, candidate: LyapunovSpectrum, reference: LyapunovSpectrum
) -> float | None:
    count = candidate.sequences
    if count < 2 or reference.sequences != count:
        return None
    values = []
    for left_out in range(count):
        kept = torch.tensor([index for index in range(count) if index != left_out])
        values.append(metric(candidate.select(kept), reference.select(kept)))
    mean = sum(values) / count
    return float(((count - 1) / count * sum((value - mean) ** 2 for value in values)) ** 0.5)


def _halves(metric: Metric, spectrum: LyapunovSpectrum) -> float | None:
    half = spectrum.sequences // 2
    if half == 0:
        return None
    return metric(
        spectrum.select(torch.arange(half)), spectrum.select(torch.arange(half, 2 * half))
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
