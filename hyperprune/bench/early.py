"""What searches on a table minimise early: a run's own objectives, by the preregistration's names.

An objective is asked as a run asks it, through `search.objective`; entries differ in its options and in
which distance it is shown.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

import numpy as np

from hyperprune.bench.signals import LOSS, Shown, Study, signal_name
from hyperprune.bench.statistics import Array, ranks
from hyperprune.bench.table import STATES
from hyperprune.plugins import Contribution, registry
from hyperprune.search.objective import needs_of
from hyperprune.search.objective import scores as asked


@dataclass(frozen=True)
class Early:
    """An objective as a replay asks it.

    shown: what stands for a run's LS distance. uses: what it takes of the dense reference without
    needing it. weights: of the learned objective, for each epoch; no plugin offers it, since it is
    fitted on other tables.
    """

    name: str
    objective: str
    options: tuple[tuple[str, Any], ...] = ()
    shown: Shown = "full"
    uses: frozenset[str] = frozenset()
    weights: tuple[tuple[float, ...], ...] = field(default=(), repr=False)

    @property
    def needs(self) -> frozenset[str]:
        """What of the dense reference it is charged for: its course, spectra, or nothing."""
        if self.weights:
            return frozenset({"distances", "dense"})
        return self.uses | needs_of(registry().get("objective", self.objective).target)

    def scores(self, study: Study, rows: Sequence[int], epoch: int) -> list[float]:
        """What it makes of rows that are compared after an epoch; lower is better.

        A row that has diverged is infinitely bad, and the others are not compared with it.
        """
        alive = [row for row in rows if study.trained(row, epoch) == epoch]
        if self.weights:
            values = (features(study, alive, epoch) @ np.array(self.weights[epoch - 1])).tolist()
        else:
            bound = _bound(registry().get("objective", self.objective), self.options)
            compared = study.compared(alive, epoch, self.shown)
            values = [score.value for score in asked(bound, compared, self.objective)]
        known = dict(zip(alive, values, strict=True))
        return [known.get(row, math.inf) for row in rows]


@functools.cache
def _bound(objective: Contribution, options: tuple[tuple[str, Any], ...]) -> Any:
    """An objective with its options checked, which takes longer than asking it."""
    return objective.bind(dict(options))


_LIST = tomllib.loads((resources.files(__package__) / "objectives.toml").read_text("utf-8"))

PREREGISTERED = tuple(
    Early(
        item["name"],
        item["objective"],
        tuple(item.get("options", {}).items()),
        item.get("shown", "full"),
        frozenset(item.get("uses", ())),
    )
    for item in _LIST["objective"]
)
"""What is compared; `learned` comes to it where there are other tables."""

EXPLORATORY: tuple[str, ...] = tuple(_LIST["exploratory"])
"""Tables whose signals were known when the rule was written."""


def preregistered(role: str) -> Early:
    """The objective that the list gives a role, such as `budget` or `pair`."""
    return next(item for item in PREREGISTERED if item.name == _LIST[role])


def sensitivities() -> tuple[Early, ...]:
    """What is reported beside and cannot become the default.

    Other tolerances, and every registered distance of either state against either reference.
    """
    tolerant, measured = preregistered("tolerant"), preregistered("measured")
    tolerances = [
        replace(tolerant, name=f"{tolerant.name}, τ = {value}", options=(("tolerance", value),))
        for value in _LIST["tolerances"]
    ]
    shown = [
        signal_name(distance.name, state, reference)
        for distance in registry().of_kind("distance")
        for state in STATES
        for reference in ("same_epoch", "final")
    ]
    return (*tolerances, *(replace(measured, name=name, shown=name) for name in shown))


RIDGE = 1.0


def features(study: Study, rows: Sequence[int], epoch: int) -> Array:
    """What is known of rows after an epoch, each by its ranks over n, (n, 7): input of `learned`."""
    at = list(rows)
    loss, now = study.signals[LOSS], epoch - 1
    columns = (
        loss[at, now],
        study.train[at, now],
        loss[at, now] - loss[at, max(0, now - 1)],
        study.distances["full"][at, now],
        study.distances["hidden"][at, now],
        study.lost[at, now],
        study.exploration[at, now],
    )
    return np.stack([ranks(column) for column in columns], axis=-1) / max(1, len(at))


def learned(own: Study, others: Sequence[Study]) -> Early:
    """Ridge regression of the end's ranks on early ranks, fitted on all other tables.

    Each epoch of `own` has weights of its own, from the epochs of the others at the same share of
    their budgets. Ranks are centred within a table, so that no table's size tells anything.
    """
    weights = []
    for epoch in range(1, own.epochs + 1):
        inputs, outputs = [], []
        for other in others:
            at = min(max(1, round(epoch / own.epochs * other.epochs)), other.epochs)
            rows = other.whole
            x, y = features(other, rows, at), ranks(other.final[rows]) / len(rows)
            inputs.append(x - x.mean(0))
            outputs.append(y - y.mean())
        x, y = np.concatenate(inputs), np.concatenate(outputs)
        solved = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
        weights.append(tuple(float(value) for value in solved))
    return Early("learned", "", weights=tuple(weights))
