"""Bayesian optimisation: a quasi-random start, then the untried configuration Ax rates highest.

Every suggestion is computed afresh from all that is known, with its own seed and one thread, so a
resumed search goes on exactly as an uninterrupted one. Ax fits the Gaussian process and rates
points; which points it is shown is decided here: the whole space where it is small, else a pool of
draws with the neighbours of the best. That keeps conditional settings and uniqueness exact, and
costs a tenth of optimising the acquisition function over mixed settings.
"""

from __future__ import annotations

import contextlib
import importlib
import random as generators
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from hyperprune.builtin.searchers.random import random
from hyperprune.search.observation import Observation, SpaceExhausted, tried_keys
from hyperprune.search.space import Configuration, Dimension, Range, Space, Values, key_of

POOL = 512
"""Configurations rated at once; a space up to this size is rated whole."""
STEPS = (0.2, 0.05, 0.0125)
"""Shares of a range by which a neighbour differs, one a round of refinement."""


def ax(
    space: Space,
    history: Sequence[Observation],
    pending: Sequence[Configuration],
    seed: int,
    *,
    initial: Annotated[int, Field(ge=2, le=1000)] = 8,
) -> dict[str, Any]:
    """Gaussian process with log expected improvement, by Ax; `initial` candidates come first.

    A failed candidate counts as one as bad as the worst measured, so that its neighbourhood is
    left alone. Raises SpaceExhausted when nothing new is left.
    """
    measured = [item for item in history if item.value is not None]
    tried = tried_keys(history, pending)
    turn = len(history) + len(pending)
    if turn < initial or len(measured) < 2:
        return quasi_random(space, history, pending, seed)
    if space.size is not None and len(tried) >= space.size:
        raise SpaceExhausted("every configuration of the space has been tried")
    from hyperprune.builtin.searchers.ax_model import Rating

    rating = Rating(space, history, pending, seed=seed)
    if space.size is not None and space.size <= POOL:
        return rating.best(item for item in space.enumerate() if key_of(item) not in tried)
    rng = generators.Random(f"{seed}/{turn}")
    order = sorted(measured, key=lambda item: item.value or 0.0)
    starts: list[Configuration] = [item.configuration for item in order[:3]]
    pool = [space.sample(rng) for _ in range(POOL)]
    for step in STEPS:
        pool += [item for start in starts for item in neighbours(space, start, step, rng)]
        fresh = {key_of(item): item for item in pool if key_of(item) not in tried}
        if not fresh:
            return random(space, history, pending, seed)
        best = rating.best(fresh.values())
        starts, pool = [best], [best]
    return dict(best)


def _prepare() -> None:
    """Import Ax, which takes seconds, while workers are listened to; who asks it before waits for it."""
    threading.Thread(target=_import, name="importing Ax").start()


def _import() -> None:
    with contextlib.suppress(Exception):  # raised once more where it is needed
        importlib.import_module("hyperprune.builtin.searchers.ax_model")


ax.prepare = _prepare  # type: ignore[attr-defined]


def quasi_random(
    space: Space, history: Sequence[Observation], pending: Sequence[Configuration], seed: int
) -> dict[str, Any]:
    """Next untried point of a scrambled Sobol sequence, which fills the space evenly."""
    from torch.quasirandom import SobolEngine

    tried = tried_keys(history, pending)
    turn = len(history) + len(pending)
    engine = SobolEngine(max(1, len(space.dimensions)), scramble=True, seed=seed % 2**31)
    for point in engine.draw(turn + 64).tolist()[turn:]:
        configuration = space.at(point[: len(space.dimensions)])
        if key_of(configuration) not in tried:
            return configuration
    return random(space, history, pending, seed)


def neighbours(
    space: Space, start: Configuration, step: float, rng: generators.Random
) -> Iterator[dict[str, Any]]:
    """Configurations that differ in one setting, and some that differ in every range a little."""
    for dimension in space.dimensions:
        if dimension.path not in start:
            continue
        if isinstance(dimension.domain, Values):
            others: list[Any] = [
                value for value in dimension.domain if value != start[dimension.path]
            ]
        else:
            others = [_moved(dimension.domain, start[dimension.path], step, rng) for _ in range(4)]
        for value in others:
            yield _completed(space, {**start, dimension.path: value}, rng)
    ranges: list[tuple[Dimension, Range]] = [
        (item, item.domain)
        for item in space.dimensions
        if item.path in start and isinstance(item.domain, Range)
    ]
    for _ in range(8 if len(ranges) > 1 else 0):
        moved = {item.path: _moved(domain, start[item.path], step, rng) for item, domain in ranges}
        yield {**start, **moved}


def _moved(domain: Range, value: float, step: float, rng: generators.Random) -> float:
    shifted = domain.share(value) + rng.gauss(0.0, step)
    return domain.at(min(max(shifted, 0.0), 1.0 - 1e-12))


def _completed(space: Space, wanted: Mapping[str, Any], rng: generators.Random) -> dict[str, Any]:
    """Drop settings that no longer count, and draw those that now do."""
    configuration: dict[str, Any] = {}
    for dimension in space.dimensions:
        if dimension.active(configuration):
            drawn = dimension.domain.at(rng.random())
            configuration[dimension.path] = wanted.get(dimension.path, drawn)
    return configuration
