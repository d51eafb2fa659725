"""What a search could see early: one number for each configuration and epoch, lower is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from hyperprune.bench.statistics import Array, pooled_deviation, ranks
from hyperprune.bench.table import STATES, Row, Table
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.lyapunov.distance import Metric
from hyperprune.plugins import registry
from hyperprune.recipe import Recipe, space_of
from hyperprune.search.objective import Comparison, Progress
from hyperprune.search.space import Space

LOSS = "loss"
BOTH = "loss and distance (sum of ranks)"


Shown: TypeAlias = str
"""Which distance stands for a run's: `full`, of resolved full-state spectra at the same epoch; `hidden`;
`raw`, of raw exponents; `matched`, against the dense spectrum of the nearest validation loss; or a signal."""

MEASURING = 0.05
"""What measuring spectra adds to an epoch, where a table does not say: a guess, on the dear side."""


@dataclass(frozen=True, eq=False)
class Study:
    """A table as replays see it: n configurations of one seed.

    final: (n,) validation loss after the full budget, nats per token. signals: name → (n, E), of rows
    that trained to the end; a row that diverged has NaN from then on and an infinite `final`.
    distances: what stands for a run's LS distance → (n, E). train, exploration, lost, averaging: (n, E).
    noise: standard deviation of `final` over seeds of one configuration. dense: the dense reference's
    course. measuring: seconds that spectra take for a second of training. missing: rows that the
    table does not hold yet.
    """

    name: str
    recipe: Recipe
    space: Space
    rows: tuple[Row, ...]
    final: Array
    signals: Mapping[str, Array]
    distances: Mapping[str, Array]
    train: Array
    exploration: Array
    lost: Array
    averaging: Array
    noise: float
    repeats: int
    dense: Progress
    measuring: float = MEASURING
    missing: int = 0

    @property
    def epochs(self) -> int:
        """The full budget E."""
        return int(self.signals[LOSS].shape[1])

    @property
    def whole(self) -> list[int]:
        """Positions of the rows that trained to the end."""
        return [k for k, loss in enumerate(self.final) if np.isfinite(loss)]

    @cached_property
    def target(self) -> float:
        """The dense network's lowest validation loss, which is a run's target."""
        return min(self.dense.valid_losses)

    @cached_property
    def _lasted(self) -> list[int]:
        """Epochs of each row until it diverged, or all."""
        lasted: list[int] = np.isfinite(self.signals[LOSS]).sum(1).tolist()
        return lasted

    def trained(self, row: int, epoch: int) -> int:
        """Epochs that a row trains when asked for so many: fewer where it diverges before."""
        return min(epoch, self._lasted[row])

    def compared(self, rows: Sequence[int], epoch: int, shown: Shown = "full") -> Comparison:
        """What a run would know of these rows after an epoch, and of the dense reference."""
        distances = self.distances[shown] if shown in self.distances else self.signals[shown]
        losses = self.signals[LOSS]
        return Comparison(
            [
                Progress(
                    self.train[row, :epoch].tolist(),
                    losses[row, :epoch].tolist(),
                    distances[row, :epoch].tolist(),
                    lost=self.lost[row, :epoch].tolist(),
                    reference_lost=self.dense.lost[:epoch],
                    exploration=self.exploration[row, :epoch].tolist(),
                    configuration=self.rows[row].configuration,
                )
                for row in rows
            ],
            self.epochs,
            self.dense,
            self.target,
        )

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

    Signals compare resolved spectra, unless `raw`; `distances` are named for what they compare.
    """
    recipe = table.recipe
    rows = [k for k, row in enumerate(table.rows) if row.sampled]
    series = {name: values.double().numpy() for name, values in table.series.items()}
    valid, dense = series["valid_loss"], table.dense_row(recipe.seed)
    measured = {state: _Spectra(table, dense, rows, state) for state in STATES}
    full = measured["full"]
    metric = registry().get("distance", recipe.spectrum.distance.name).bind({})
    final = valid[rows, -1]
    groups = _by_configuration(table, valid[:, -1])
    return Study(
        name,
        recipe,
        space_of(recipe),
        tuple(table.rows[k] for k in rows),
        np.where(np.isnan(final), np.inf, final),
        _signals(recipe, valid[rows], measured, raw),
        {
            "full": full.distances(metric),
            "hidden": measured["hidden"].distances(metric),
            "raw": full.distances(metric, raw=True),
            "matched": full.distances(metric, epochs=_nearest(valid[rows], valid[dense])),
        },
        series["train_loss"][rows],
        series["exploration"][rows],
        full.lost,
        series["averaging"][rows],
        pooled_deviation(groups),
        sum(len(group) - 1 for group in groups),
        Progress(
            series["train_loss"][dense].tolist(),
            valid[dense].tolist(),
            lost=[item.lost for item in full.references],
        ),
        _measuring(series),
        table.missing,
    )


def _measuring(series: Mapping[str, Array]) -> float:
    """Seconds that spectra of both states take for a second of training; the guess where unknown."""
    if "measuring" not in series or np.isnan(series["measuring"]).all():
        return MEASURING
    return float(np.nanmedian(series["measuring"] / (series["seconds"] - series["measuring"])))


def _nearest(losses: Array, dense: Array) -> Array:
    """Epoch (from 0) at which the dense curve is nearest to each loss; the earlier of two."""
    found: Array = np.abs(np.nan_to_num(losses)[:, :, None] - dense).argmin(-1)
    return found


def _by_configuration(table: Table, final: Array) -> list[list[float]]:
    """Final losses of each configuration that trained from several seeds."""
    groups: dict[str, list[float]] = {}
    for row, value in zip(table.rows, final, strict=True):
        if not row.dense and row.failure is None:
            groups.setdefault(row.name.partition("-")[0], []).append(float(value))
    return [group for group in groups.values() if len(group) > 1]


class _Spectra:
    """Spectra of one state: of each row and epoch, None where a row had diverged, and of the dense.

    `compared` holds both as distances see them, by whether they are raw: each is made once for all distances.
    """

    def __init__(self, table: Table, dense: int, rows: Sequence[int], state: str) -> None:
        valid = table.series["valid_loss"]
        self.references = [table.spectrum(dense, e + 1, state) for e in range(table.epochs)]
        self.own = [
            [
                None if valid[row, e].isnan() else table.spectrum(row, e + 1, state)
                for e in range(table.epochs)
            ]
            for row in rows
        ]
        self.compared = {
            raw: (
                [[None if s is None else _seen(s, raw) for s in row] for row in self.own],
                [_seen(s, raw) for s in self.references],
            )
            for raw in (False, True)
        }

    @property
    def lost(self) -> Array:
        """Lost directions (n, E)."""
        return np.array([[np.nan if s is None else s.lost for s in row] for row in self.own])

    def distances(self, metric: Metric, *, raw: bool = False, epochs: Array | None = None) -> Array:
        """Distances (n, E) to the dense spectra of the same epochs, or of `epochs` (from 0; n, E)."""
        rows, references = self.compared[raw]
        found = np.full((len(rows), len(references)), np.nan)
        for i, row in enumerate(rows):
            for e, item in enumerate(row):
                if item is not None:
                    at = e if epochs is None else int(epochs[i, e])
                    found[i, e] = metric(item, references[at])
        return found


def _seen(spectrum: LyapunovSpectrum, raw: bool) -> LyapunovSpectrum:
    return spectrum.raw() if raw else spectrum.resolved()


def _signals(
    recipe: Recipe, loss: Array, measured: Mapping[str, _Spectra], raw: bool
) -> dict[str, Array]:
    found: dict[str, Array] = {LOSS: loss}
    last = np.full(loss.shape, loss.shape[1] - 1)
    for state, spectra in measured.items():
        if not raw:
            found[f"lost directions, {state}"] = spectra.lost
        for item in registry().of_kind("distance"):
            metric = item.bind({})
            found[signal_name(item.name, state)] = spectra.distances(metric, raw=raw)
            final = spectra.distances(metric, raw=raw, epochs=last)
            found[signal_name(item.name, state, "final")] = final
        found[f"in units of its error, {state}"] = spectra.distances(_standardised, raw=raw)
    distance = found[signal_name(recipe.spectrum.distance.name, recipe.spectrum.state)]
    # A row that had diverged is infinitely bad: NaN would spoil the ranks of all others.
    by_loss, by_distance = (ranks(np.nan_to_num(x.T, nan=np.inf)).T for x in (loss, distance))
    found[BOTH] = by_loss + by_distance
    # How the distance has changed since the epoch before; nothing is known at the first.
    found["slope of distance"] = np.diff(distance, axis=1, prepend=distance[:, :1])
    return found


def _standardised(candidate: LyapunovSpectrum, reference: LyapunovSpectrum) -> float:
    """Root mean square of differences in units of their standard error over sequences."""
    variance = candidate.standard_error**2 + reference.standard_error**2
    known = variance[variance > 0]  # none of an exponent that all sequences share, as lost ones do
    floor = (known if len(known) else variance).median().clamp_min(1e-12)
    difference = candidate.exponents - reference.exponents
    return float((difference**2 / variance.clamp_min(floor)).mean().sqrt())
