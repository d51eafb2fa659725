"""Objectives that look at spectra, or at what sparse training explored, mostly beside the loss."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hyperprune.hookspecs import needs
from hyperprune.search.objective import Comparison, Score


@needs("distances")
def distance(compared: Comparison) -> list[Score]:
    """LS distance of the last epoch, with its error: the papers' choice (arXiv 2506.07975)."""
    return [
        Score(item.distances[-1], item.errors[-1] if item.errors else None)
        for item in compared.candidates
    ]


@needs("distances")
def both(compared: Comparison) -> list[float]:
    """Loss and LS distance by the sum of their ranks, as they have no common unit."""
    return _summed(_losses(compared), _distances(compared))


@needs("distances")
def explored(compared: Comparison) -> list[float]:
    """Loss, LS distance and exploration by the sum of their ranks; much exploration is good.

    Exploration is the share of weights ever active (Liu et al., ITOP, ICML 2021).
    """
    shares = [item.exploration[-1] if item.exploration else 0.0 for item in compared.candidates]
    return _summed(_losses(compared), _distances(compared), [-share for share in shares])


@needs("distances")
def loss_then_distance(
    compared: Comparison, *, tolerance: Annotated[float, Field(gt=0)] = 0.02
) -> list[float]:
    """Loss, and LS distance only among candidates whose losses lie within a tolerance of each other.

    From the lowest loss up, candidates within `tolerance` (nats) of a group's lowest belong to it; a
    group is ordered by distance. A score is the group's lowest loss plus the share of the tolerance
    that the place in the group comes to: the distance never outweighs more than the noise.
    """
    from hyperprune.search.ranking import ranks

    losses, distances = _losses(compared), _distances(compared)
    order = sorted(range(len(losses)), key=losses.__getitem__)
    groups: list[list[int]] = []
    for index in order:
        if groups and losses[index] <= losses[groups[-1][0]] + tolerance:
            groups[-1].append(index)
        else:
            groups.append([index])
    found = [0.0] * len(losses)
    for group in groups:
        places = ranks([distances[index] for index in group])
        for index, place in zip(group, places, strict=True):
            found[index] = losses[group[0]] + tolerance * (place - 1) / len(group)
    return found


@needs("distances")
def loss_and_lost(compared: Comparison) -> list[float]:
    """Loss and the number of lost directions by the sum of their ranks; few lost are good.

    A direction is lost where its exponent lies below what the weights' own rounding resolves.
    """
    lost = [item.lost[-1] if item.lost else 0.0 for item in compared.candidates]
    return _summed(_losses(compared), lost)


@needs("distances")
def lost_directions(compared: Comparison) -> list[float]:
    """How far the number of lost directions is from the dense reference's.

    A direction is lost where its exponent lies below what the weights' own rounding resolves.
    """
    return [
        abs(item.lost[-1] - item.reference_lost[-1]) if item.lost and item.reference_lost else 0.0
        for item in compared.candidates
    ]


def _losses(compared: Comparison) -> list[float]:
    return [item.valid_losses[-1] for item in compared.candidates]


def _distances(compared: Comparison) -> list[float]:
    return [item.distances[-1] for item in compared.candidates]


def _summed(*signals: list[float]) -> list[float]:
    """Sum of each candidate's ranks."""
    from hyperprune.search.ranking import ranks

    return [sum(places) for places in zip(*map(ranks, signals), strict=True)]
