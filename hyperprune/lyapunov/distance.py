"""A distance between two spectra with its error, its noise and what it rests on, for any metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from hyperprune.lyapunov.record import LyapunovSpectrum

Metric: TypeAlias = Callable[[LyapunovSpectrum, LyapunovSpectrum], float]

MOST = 0.9
"""Share of the summed squared differences that `rests_on` counts exponents for."""


@dataclass(frozen=True)
class Distance:
    """A distance with its standard error, and the same-model noise to hold it against.

    standard_error: jackknife over sequences, candidate and reference losing the same one; None
        where they do not share at least two sequences.
    noise: the metric between two disjoint halves of one model's sequences, mean over candidate and
        reference; None with fewer than two sequences. A distance below it says little.
    lost, reference_lost: lost directions of each, mean over sequences; exponents: how many there are.
    rests_on: the fewest exponents that make up nine tenths of the squared differences, largest held
        against largest; None where the two do not have as many, 0 where they are equal.
    """

    value: float
    standard_error: float | None
    noise: float | None
    lost: float
    reference_lost: float
    exponents: int
    rests_on: int | None


def distance_with_error(
    metric: Metric,
    candidate: LyapunovSpectrum,
    reference: LyapunovSpectrum,
    *,
    raw: bool = False,
) -> Distance:
    """Measure a distance with its standard error and its same-model noise (method, section 9).

    The metric sees resolved spectra, unless `raw`. Both were measured on the same sequences, so what
    a sequence adds to both cancels: the jackknife (Efron & Stein 1981) leaves it out of both at once.
    """
    candidate.check_comparable(reference)
    lost, reference_lost = candidate.lost, reference.lost
    candidate, reference = compared(candidate, reference, raw=raw)
    return Distance(
        value=metric(candidate, reference),
        standard_error=_jackknife(metric, candidate, reference),
        noise=_mean([_halves(metric, spectrum) for spectrum in (candidate, reference)]),
        lost=lost,
        reference_lost=reference_lost,
        exponents=len(candidate.exponents),
        rests_on=rests_on(candidate, reference),
    )


def compared(
    candidate: LyapunovSpectrum, reference: LyapunovSpectrum, *, raw: bool = False
) -> tuple[LyapunovSpectrum, LyapunovSpectrum]:
    """Two spectra as a metric may see them: resolved at the coarser of their resolutions, or raw."""
    if raw:
        return candidate.raw(), reference.raw()
    at = max(candidate.resolution, reference.resolution)
    return candidate.resolved(at), reference.resolved(at)


def rests_on(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> int | None:
    """The fewest exponents that make up most of the squared differences of two spectra."""
    if len(candidate.exponents) != len(reference.exponents):
        return None
    squares = (candidate.exponents - reference.exponents).square().sort(descending=True).values
    total = float(squares.sum())
    return 0 if total == 0 else int((squares.cumsum(0) < MOST * total).sum()) + 1


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
