"""Lyapunov spectra of recurrent networks, and distances between them with their error bars.

Imports the model contract. Called by `training`, `judgement`, and anyone who measures a network.
"""

from hyperprune.lyapunov.distance import Distance, compared, distance_with_error, rests_on
from hyperprune.lyapunov.record import LyapunovSpectrum, kaplan_yorke
from hyperprune.lyapunov.spectrum import lyapunov_spectrum
from hyperprune.lyapunov.tangent import LayerTangent, MemoryBlock

__all__ = [
    "Distance",
    "LayerTangent",
    "LyapunovSpectrum",
    "MemoryBlock",
    "compared",
    "distance_with_error",
    "kaplan_yorke",
    "lyapunov_spectrum",
    "rests_on",
]
