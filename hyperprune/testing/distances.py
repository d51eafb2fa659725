"""The suite that every distance passes: `check_distance(mine)`."""

from __future__ import annotations

import math

from hyperprune.lyapunov import LyapunovSpectrum, distance_with_error
from hyperprune.lyapunov.distance import Metric
from hyperprune.testing.tiny import tiny_spectrum


def check_distance(distance: Metric) -> None:
    """Assert that a distance keeps its contract.

    A finite float, not negative, 0 for a spectrum and itself, the same when asked again, and
    nothing written to. It must also work on fewer sequences, from which its error and noise are estimated.
    """
    one, other, narrow = tiny_spectrum(1), tiny_spectrum(2), tiny_spectrum(3, layers=(5,))
    before = [spectrum.per_sequence.clone() for spectrum in (one, other)]
    for spectrum in (one, other, narrow):
        same = _value(distance, spectrum, spectrum)
        assert abs(same) < 1e-9, f"a spectrum is {same} from itself"
    for candidate, reference in ((one, other), (other, one)):
        value = _value(distance, candidate, reference)
        assert value >= 0, f"a distance is not negative: {value}"
        assert distance(candidate, reference) == value, "it differs when asked again"
        measured = distance_with_error(distance, candidate, reference)
        assert measured.value == value
        assert measured.noise is not None
        assert math.isfinite(measured.noise)
    for spectrum, copy in zip((one, other), before, strict=True):
        assert spectrum.per_sequence.equal(copy), "a distance writes to what it is shown"


def _value(distance: Metric, candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """A distance that is a finite float."""
    value: object = distance(candidate, reference)
    hint = "; return float(…) of it" if hasattr(value, "__float__") else ""
    assert isinstance(value, float), f"a distance is a float, not {type(value).__name__}{hint}"
    assert math.isfinite(value), f"a distance is finite, not {value}"
    return value
