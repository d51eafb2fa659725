"""Lyapunov spectra of recurrent networks, and distances between them with their error bars.

Imports the model contract. Called by `training`, `judgement`, and anyone who measures a network.
"""

from hyperprune.lyapunov.distance import Distance, distance_with_error
from hyperprune.lyapunov.record import LyapunovSpectrum, kaplan_yorke
from hyperprune.lyapunov.spectrum import lyapunov_spectrum
from hyperprune.lyapunov.tangent import LayerTangent, MemoryBlock

__all__ = [
    "Distance",
    "LayerTangent",
    "LyapunovSpectrum",
    "MemoryBlock",
    "distance_with_error",
    "kaplan_yorke",
    "lyapunov_spectrum",
]
