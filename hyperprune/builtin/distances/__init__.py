"""Shipped distances: a candidate's spectrum against the dense reference's.

All compare resolved exponents, so lost directions count by their number and not by a value; spectra
handed over by `raw()` are compared as they are. Exponents do not depend on any orthogonal change of a
layer's coordinates once the frame has forgotten where it began; docs/lyapunov.md says how far the order
of units is seen before. Each docstring says what else a distance does not see. All refuse spectra of
different state kinds or protocols.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune.errors import SpectrumError
from hyperprune.hookspecs import Contributions, compares

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.lyapunov import LyapunovSpectrum


def l2(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """Euclidean distance of the exponents, largest with largest: sqrt Σ_i (λ_i − λ'_i)².

    The papers' choice (Zheng & Shlizerman, arXiv 2506.07975). Does not see which layer an exponent
    belongs to; protocol "published" keeps its order by layer and does.
    """
    mine, other = _pair(candidate, reference)
    return float((mine - other).norm())


def l1(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """Sum of absolute differences of the exponents, largest with largest: Σ_i |λ_i − λ'_i|.

    As `l2`, but a few exponents that moved far weigh no more than many that moved little.
    """
    mine, other = _pair(candidate, reference)
    return float((mine - other).abs().sum())


def relative(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """Euclidean distance over the reference's norm: ‖λ − λ'‖ / ‖λ'‖.

    Does not see the unit of time or of information: nats or bits, steps counted once or twice.
    """
    mine, other = _pair(candidate, reference)
    norm = float(other.norm())
    if norm == 0:
        raise SpectrumError("relative distance: every exponent of the reference is 0")
    return float((mine - other).norm()) / norm


def layerwise_l2(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """Euclidean distance with each exponent held against its own layer's: sqrt Σ_l Σ_i (λ_li − λ'_li)².

    Sees an exponent that moves from one layer to another, where `l2` does not.
    """
    squares: float = 0.0
    for mine, other in _layer_pairs(candidate, reference):
        if len(mine) != len(other):
            raise SpectrumError(
                f"layers of {len(mine)} and {len(other)} exponents: use the wasserstein distance"
            )
        squares += float((mine - other).square().sum())
    return math.sqrt(squares)


def top_k(
    candidate: LyapunovSpectrum,
    reference: LyapunovSpectrum,
    *,
    k: Annotated[int, Field(ge=1)] = 20,
) -> float:
    """Euclidean distance of the k largest exponents of each layer (all of a smaller layer).

    Does not see anything below them: directions that die out within a step or two.
    """
    squares: float = 0.0
    for mine, other in _layer_pairs(candidate, reference):
        if min(k, len(mine)) != min(k, len(other)):
            raise SpectrumError(
                f"the {k} largest of {len(mine)} and of {len(other)} exponents do not pair up"
            )
        squares += float((mine[:k] - other[:k]).square().sum())
    return math.sqrt(squares)


@compares(widths=True)
def wasserstein(
    candidate: LyapunovSpectrum,
    reference: LyapunovSpectrum,
    *,
    order: Annotated[float, Field(ge=1)] = 2.0,
) -> float:
    """Wasserstein distance of the exponents' distributions in each layer, mean over layers.

    W_p^p = ∫₀¹ |q(u) − q'(u)|^p du with q the quantile function of a layer's exponents; the result
    is (mean_l W_p^p)^(1/p). Does not see how many exponents a layer has, only how they are spread,
    so spectra of networks of different widths can be compared.
    """
    costs = [_transport(mine, other, order) for mine, other in _layer_pairs(candidate, reference)]
    return float((sum(costs) / len(costs)) ** (1 / order))


@compares(widths=True, layers=True)
def kaplan_yorke(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """Absolute difference of the Kaplan–Yorke dimensions.

    Sees only exponents up to the first non-negative partial sums: every two networks that contract
    (largest exponent below 0) are at distance 0.
    """
    candidate, reference = _resolved(candidate, reference)
    return abs(candidate.kaplan_yorke - reference.kaplan_yorke)


def _resolved(
    candidate: LyapunovSpectrum, reference: LyapunovSpectrum
) -> tuple[LyapunovSpectrum, LyapunovSpectrum]:
    from hyperprune.lyapunov.distance import compared  # imports torch

    candidate.check_comparable(reference)
    return compared(candidate, reference)


def _pair(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> tuple[Tensor, Tensor]:
    """Exponents of both, where they pair up one by one."""
    candidate, reference = _resolved(candidate, reference)
    mine, other = candidate.exponents, reference.exponents
    if len(mine) != len(other):
        raise SpectrumError(
            f"spectra of {len(mine)} and {len(other)} exponents: use the wasserstein distance"
        )
    return mine, other


def _layer_pairs(
    candidate: LyapunovSpectrum, reference: LyapunovSpectrum
) -> list[tuple[Tensor, Tensor]]:
    """Exponents of each layer of both, largest first."""
    candidate, reference = _resolved(candidate, reference)
    mine, other = candidate.layer_numbers, reference.layer_numbers
    if mine != other:  # where only the leading exponents were kept, a layer may have none
        raise SpectrumError(f"spectra of layers {mine} and {other} cannot be paired")
    return list(zip(candidate.by_layer(), reference.by_layer(), strict=True))


def _transport(mine: Tensor, other: Tensor, order: float) -> float:
    """∫₀¹ |q − q'|^order of two samples sorted alike: both quantile functions are steps."""
    n, m = len(mine), len(other)
    q, r = mine.tolist(), other.tolist()
    # Cuts of [0, 1] in units of 1/(n m), where no quotient is rounded.
    cuts = sorted({i * m for i in range(n + 1)} | {j * n for j in range(m + 1)})
    total = 0.0
    for left, right in itertools.pairwise(cuts):
        gap = abs(q[left // m] - r[left // n])
        total += (right - left) / (n * m) * gap**order
    return total


DISTANCES: Contributions = {
    "l2": l2,
    "l1": l1,
    "wasserstein": wasserstein,
    "top_k": top_k,
    "relative": relative,
    "kaplan_yorke": kaplan_yorke,
    "layerwise_l2": layerwise_l2,
}
