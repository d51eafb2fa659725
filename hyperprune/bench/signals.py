"""What a search could see early: one number for each configuration and epoch, lower is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperprune.bench.statistics import Array, pooled_deviation, ranks
from hyperprune.bench.table import STATES, Row, Table
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.plugins import registry
from hyperprune.recipe import Recipe, space_of
from hyperprune.search.space import Space

LOSS = "loss"
BOTH = "loss and distance (sum of ranks)"


@dataclass(frozen=True, eq=False)
class Study:
    """A table as replays see it: n configurations of one seed that trained to the end.

    final: (n,) validation loss after the full budget, nats per token. signals: name → (n, E).
    averaging: (n, E) 1 where the weights were averaged.
    noise: standard deviation of `final` over seeds of one configuration. dense: its final loss.
    missing: rows that the table does not hold yet.
    """

    name: str
    recipe: Recipe
    space: Space
    rows: tuple[Row, ...]
    final: Array
    signals: Mapping[str, Array]
    averaging: Array
    noise: float
    repeats: int
    dense: float
    failed: int
    missing: int = 0

    @property
    def epochs(self) -> int:
        """The full budget E."""
        return int(self.signals[LOSS].shape[1])

    @property
    def perplexity(self) -> Array:
        """Final validation perplexities (n,)."""
        return np.exp(self.final)

    @property
    def own_distance(self) -> str:
        """The signal that the recipe itself would minimise."""
        settings = self.recipe.spectrum
        return signal_name(settings.distance.name, settings.state, settings.reference)


def signal_name(distance: str, state: str, reference: str = "same_epoch") -> str:
    """Name of a distance's signal: `l2 hidden`, `l2 hidden, final`."""
    return f"{distance} {state}" + (", final" if reference == "final" else "")


def study(table: Table, name: str, *, raw: bool = False) -> Study:
    """Prepare a table for replay: signals of every registered distance, and the noise floor.

    Distances compare resolved spectra, unless `raw`.
    """
    recipe = table.recipe
    wanted = [
        index
        for index, row in enumerate(table.rows)
        if row.role in ("default", "sample") and row.failure is None
    ]
    valid = table.series["valid_loss"].double().numpy()
    dense = table.dense_row(recipe.seed)
    failed = sum(row.failure is not None and not row.dense for row in table.rows)
    groups = _by_configuration(table, valid[:, -1])
    return Study(
        name,
        recipe,
        space_of(recipe),
        tuple(table.rows[index] for index in wanted),
        valid[wanted, -1],
        _signals(table, wanted, dense, raw),
        table.series["averaging"].double().numpy()[wanted],
        pooled_deviation(groups),
        sum(len(group) - 1 for group in groups),
        float(valid[dense, -1]),
        failed,
        table.missing,
    )


def _by_configuration(table: Table, final: Array) -> list[list[float]]:
    """Final losses of each configuration that trained from several seeds."""
    groups: dict[str, list[float]] = {}
    for row, value in zip(table.rows, final, strict=True):
        if not row.dense and row.failure is None:
            groups.setdefault(row.name.partition("-")[0], []).append(float(value))
    return [group for group in groups.values() if len(group) > 1]


def _signals(table: Table, wanted: list[int], dense: int, raw: bool) -> dict[str, Array]:
    loss = table.series["valid_loss"].double().numpy()[wanted]
    found: dict[str, Array] = {LOSS: loss}

    def spectra(row: int, state: str) -> list[LyapunovSpectrum]:
        measured = [table.spectrum(row, epoch + 1, state) for epoch in range(table.epochs)]
        return [item.raw() if raw else item.resolved() for item in measured]

    for state in STATES:
        references, own = spectra(dense, state), [spectra(row, state) for row in wanted]
        if not raw:
            lost = [[item.lost for item in measured] for measured in own]
            found[f"lost directions, {state}"] = np.array(lost)
        last = [references[-1]] * table.epochs
        for item in registry().of_kind("distance"):
            metric = item.bind({})
            found[signal_name(item.name, state)] = _distances(metric, own, references)
            found[signal_name(item.name, state, "final")] = _distances(metric, own, last)
        found[f"in units of its error, {state}"] = _distances(_standardised, own, references)
    settings = table.recipe.spectrum
    distance = found[signal_name(settings.distance.name, settings.state)]
    found[BOTH] = ranks(loss.T).T + ranks(distance.T).T
    # How the distance has changed since the epoch before; nothing is known at the first.
    found["slope of distance"] = np.diff(distance, axis=1, prepend=distance[:, :1])
    return found


def _distances(
    metric: Callable[..., Any],
    own: list[list[LyapunovSpectrum]],
    references: list[LyapunovSpectrum],
) -> Array:
    return np.array(
        [[metric(a, b) for a, b in zip(spectra, references, strict=True)] for spectra in own]
    )


def _standardised(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """Root mean square of differences in units of their standard error over sequences."""
    variance = candidate.standard_error**2 + reference.standard_error**2
    known = variance[variance > 0]  # none of an exponent that all sequences share, as lost ones do
    floor = (known if len(known) else variance).median().clamp_min(1e-12)
    difference = candidate.exponents - reference.exponents
    return float((difference**2 / variance.clamp_min(floor)).mean().sqrt())
