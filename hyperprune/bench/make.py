"""Make a table: train a space-filling sample of a recipe's space to the full budget.

Every finished row is a file of its own beside the table, and the first shard packs the table anew
after each, so the work can be stopped at any time and shared by several processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from hyperprune.bench.table import SERIES, STATES, Row, Table
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import Diverged, RunError
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.lyapunov.record import WITHOUT_RESOLUTION
from hyperprune.recipe import Recipe, apply, default_configuration, dumps, space_of
from hyperprune.runtime.seeds import derive
from hyperprune.search.space import Configuration, Space, key_of
from hyperprune.store import atomic
from hyperprune.store.run import environment
from hyperprune.training.build import build_trainer, measure_spectrum, spectrum_text


def space_filling(
    space: Space, count: int, seed: int, first: Sequence[Configuration] = ()
) -> list[Configuration]:
    """Distinct configurations: those given, then a scrambled Sobol sequence over the space."""
    chosen = {key_of(item): item for item in first}
    wanted = count if space.size is None else min(count, space.size)
    engine = SobolEngine(max(1, len(space.dimensions)), scramble=True, seed=seed % 2**31)
    while len(chosen) < wanted:
        point = engine.draw(1)[0].tolist()[: len(space.dimensions)]
        configuration = space.at(point)
        chosen.setdefault(key_of(configuration), configuration)
    return list(chosen.values())[:wanted]


def plan_rows(recipe: Recipe, configurations: int, repeated: int, seeds: int) -> list[Row]:
    """Rows in the order of their making: dense, the defaults, a sample, then other seeds.

    `repeated` configurations, spread over the sample, train again from `seeds` further seeds, each
    seed with a dense reference of its own: the noise floor.
    """
    default = default_configuration(recipe)
    first = [default] if default is not None else []
    seed = derive(recipe.seed, "table")
    sample = space_filling(space_of(recipe), configurations, seed, first)
    rows = [Row("dense", "dense", recipe.seed, {})]
    for index, item in enumerate(sample):
        role = "default" if index < len(first) else "sample"
        rows.append(Row(f"c{index:03d}", role, recipe.seed, item))
    again = [rows[1 + k * len(sample) // repeated] for k in range(repeated)]
    for extra in range(1, seeds + 1):
        rows.append(Row(f"dense-s{extra}", "dense", recipe.seed + extra, {}))
        rows += [
            Row(f"{row.name}-s{extra}", "repeat", recipe.seed + extra, row.configuration)
            for row in again
        ]
    return rows


def make_table(
    recipe: Recipe,
    path: Path,
    *,
    configurations: int,
    repeated: int = 0,
    seeds: int = 0,
    shard: tuple[int, int] = (0, 1),
    report: Callable[[str], None] = print,
) -> None:
    """Train the rows of a table that are still missing; `shard` (i, n) takes every n-th row.

    Raises RunError where the path holds a table of another recipe.
    """
    rows = plan_rows(recipe, configurations, repeated, seeds)
    folder = path.with_suffix(".rows")
    if path.exists() and Table.load(path).recipe != recipe:
        raise RunError(f"{path} was made by another recipe; give another path")
    torch.set_num_threads(recipe.train.threads or 1)
    for number, row in enumerate(rows):
        file = folder / f"{row.name}.safetensors"
        if number % shard[1] != shard[0] or file.exists():
            continue
        started = time.monotonic()
        tensors, failure = train_row(recipe, row)
        atomic.write_tensors(file, tensors, {"row": asdict(row), "failure": failure})
        if shard[0] == 0:
            pack(recipe, path, rows)
        last = float(tensors["series/valid_loss"][-1])
        report(
            f"{row.name} ({number + 1} of {len(rows)}): "
            f"{failure or f'validation {last:.3f}'}, {time.monotonic() - started:.0f} s"
        )
    if shard[0] == 0:
        pack(recipe, path, rows)


def train_row(recipe: Recipe, row: Row) -> tuple[dict[str, Tensor], str | None]:
    """Train one row to the full budget, with both spectra of every epoch."""
    own = recipe if row.dense else apply(recipe, row.configuration)
    own = own.model_copy(update={"seed": row.seed})
    trainer, text = build_trainer(own, sparse=not row.dense), spectrum_text(recipe)
    series: dict[str, list[float]] = {name: [] for name in SERIES}
    spectra: dict[str, list[LyapunovSpectrum]] = {state: [] for state in STATES}
    failure = None
    try:
        for _ in range(recipe.train.epochs):
            started = time.process_time()
            metrics = trainer.run_epoch()
            for state in STATES:
                settings = recipe.spectrum.model_copy(update={"state": state})
                spectra[state].append(measure_spectrum(trainer, text, settings))
            topology = trainer.sparse.topology() if trainer.sparse else None
            series["train_loss"].append(metrics.train_loss)
            series["valid_loss"].append(metrics.valid_loss)
            series["averaging"].append(float(metrics.averaging))
            series["exploration"].append(topology.exploration if topology else 1.0)
            series["seconds"].append(time.process_time() - started)
    except Diverged as error:
        failure = str(error)
    return _as_tensors(series, spectra, recipe.train.epochs), failure


def _as_tensors(
    series: Mapping[str, list[float]],
    spectra: Mapping[str, list[LyapunovSpectrum]],
    epochs: int,
) -> dict[str, Tensor]:
    tensors = {
        f"series/{name}": torch.tensor(values + [torch.nan] * (epochs - len(values)))
        for name, values in series.items()
    }
    for state, measured in spectra.items():
        if measured:
            per_sequence = torch.stack([item.per_sequence for item in measured]).float()
            layers = torch.stack([item.layers for item in measured]).to(torch.uint8)
            floored = torch.tensor([item.floored for item in measured], dtype=torch.int32)
            tensors[f"exponents/{state}"] = _padded(per_sequence, epochs, torch.nan)
            tensors[f"layers/{state}"] = _padded(layers, epochs, 0)
            tensors[f"floored/{state}"] = _padded(floored, epochs, 0)
            for name in ("floor", "resolution"):
                value = getattr(measured[0], name)
                tensors[f"{name}/{state}"] = torch.tensor(value, dtype=torch.float64)
    return tensors


def _padded(values: Tensor, epochs: int, fill: float) -> Tensor:
    missing = epochs - values.shape[0]
    return torch.cat([values, values.new_full((missing, *values.shape[1:]), fill)])


def pack(recipe: Recipe, path: Path, rows: Sequence[Row]) -> Table:
    """Gather the finished rows into the table's one file."""
    found: list[tuple[Row, dict[str, Tensor]]] = []
    for row in rows:
        file = path.with_suffix(".rows") / f"{row.name}.safetensors"
        if file.exists():
            tensors, metadata = atomic.read_tensors(file)
            made = Row(**{**metadata["row"], "failure": metadata["failure"]})
            found.append((made, tensors))
    whole = next(tensors for _, tensors in found if "exponents/hidden" in tensors)

    def stacked(name: str, blank: float) -> Tensor:
        like = whole[name]
        return torch.stack([ts.get(name, torch.full_like(like, blank)) for _, ts in found])

    spectrum = recipe.spectrum
    settings: dict[str, Any] = {
        "steps": spectrum.steps,
        "burn_in": spectrum.burn_in,
        "sequences": spectrum.sequences,
        "dtype": spectrum.dtype,
        "floor": float(whole["floor/hidden"]),
        "resolution": float(whole.get("resolution/hidden", torch.tensor(WITHOUT_RESOLUTION))),
    }
    table = Table(
        dumps(recipe),
        {**environment(1, recipe.train.threads or 1), "spectra": settings},
        load_corpus(recipe.data).sha256,
        tuple(row for row, _ in found),
        {name: stacked(f"series/{name}", torch.nan) for name in SERIES},
        {state: stacked(f"exponents/{state}", torch.nan) for state in STATES},
        {state: stacked(f"layers/{state}", 0) for state in STATES},
        {state: stacked(f"floored/{state}", 0) for state in STATES},
    )
    table.save(path)
    return table
