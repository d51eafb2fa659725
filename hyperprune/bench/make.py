"""Make a table: train a space-filling sample of a recipe's space to the full budget.

Every finished row is a file of its own beside the table, one that is begun keeps its last epoch, and
the first shard packs the table anew after each row. So the work can be stopped at any time and
shared by several processes, and a table that is not whole says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from hyperprune.bench.row import train_row
from hyperprune.bench.table import SERIES, STATES, Row, Table
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import RunError
from hyperprune.lyapunov.record import WITHOUT_RESOLUTION
from hyperprune.recipe import Recipe, default_configuration, dumps, space_of
from hyperprune.runtime.allocation import keep_freed_memory
from hyperprune.runtime.seeds import derive
from hyperprune.search.space import Configuration, Space, key_of
from hyperprune.store import atomic
from hyperprune.store.run import environment
from hyperprune.terms.metric import PERPLEXITY
from hyperprune.training.build import load_task


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


PILOT = 6
"""Configurations that train before any other seed does."""


def plan_rows(recipe: Recipe, configurations: int, repeated: int, seeds: int) -> list[Row]:
    """Rows in the order of their making: dense, the defaults, a sample, other seeds, more sample.

    The first `repeated` configurations train again from `seeds` further seeds, each seed with a
    dense reference of its own: the noise floor. They come early, so that a table that is not whole
    yet has one, and so that a table may grow: more configurations only add rows at its end.
    """
    default = default_configuration(recipe)
    first = [default] if default is not None else []
    seed = derive(recipe.seed, "table")
    sample = space_filling(space_of(recipe), configurations, seed, first)
    own = [
        Row(f"c{k:03d}", "default" if k < len(first) else "sample", recipe.seed, item)
        for k, item in enumerate(sample)
    ]
    early = max(PILOT, repeated)
    rows = [Row("dense", "dense", recipe.seed, {}), *own[:early]]
    for extra in range(1, seeds + 1):
        rows.append(Row(f"dense-s{extra}", "dense", recipe.seed + extra, {}))
        rows += [
            Row(f"{row.name}-s{extra}", "repeat", recipe.seed + extra, row.configuration)
            for row in own[:repeated]
        ]
    return rows + own[early:]


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

    A table that is there already, whole or not, is gone on with, also where its file alone is left.
    Raises RunError where the path holds a table of another recipe, and for a task that is not told in
    perplexity: so are all that a table is read for.
    """
    metric = load_task(recipe).metric
    if metric != PERPLEXITY:
        raise RunError(
            f"tables are told in perplexity, and task {recipe.task.name!r} in {metric.words}; "
            "`hyperprune run` searches it, and [[arms]] compare methods"
        )
    rows = plan_rows(recipe, configurations, repeated, seeds)
    folder = path.with_suffix(".rows")
    if path.exists():
        try:
            table = Table.load(path)
        except RunError as error:
            raise RunError(f"{error}; it is left as it is: give another path") from error
        if table.recipe != recipe:
            raise RunError(f"{path} was made by another recipe; give another path")
        unpack(table, folder)
    torch.set_num_threads(recipe.train.threads or 1)
    keep_freed_memory()
    for number, row in enumerate(rows):
        file = folder / f"{row.name}.safetensors"
        if number % shard[1] != shard[0] or file.exists():
            continue
        started = time.monotonic()
        begun = folder / f"{row.name}.begun"
        tensors, failure = train_row(recipe, row, begun)
        atomic.write_tensors(file, tensors, {"row": asdict(row), "failure": failure})
        begun.unlink(missing_ok=True)
        if shard[0] == 0:
            pack(recipe, path, rows)
        last = float(tensors["series/valid_loss"][-1])
        report(
            f"{row.name} ({number + 1} of {len(rows)}): "
            f"{failure or f'validation {last:.3f}'}, {time.monotonic() - started:.0f} s"
        )
    if shard[0] == 0:
        pack(recipe, path, rows)


def unpack(table: Table, folder: Path) -> None:
    """Give each row of a table its own file again, where it has none."""
    for index, row in enumerate(table.rows):
        file = folder / f"{row.name}.safetensors"
        if file.exists():
            continue
        tensors = {f"series/{name}": values[index] for name, values in table.series.items()}
        for state in STATES:
            tensors |= {
                f"exponents/{state}": table.exponents[state][index],
                f"layers/{state}": table.layers[state][index],
                f"floored/{state}": table.floored[state][index],
            }
            for name in ("floor", "resolution"):
                if name in table.recipe_settings:
                    value = torch.tensor(table.recipe_settings[name], dtype=torch.float64)
                    tensors[f"{name}/{state}"] = value
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        plain = {**asdict(row), "failure": None}
        atomic.write_tensors(file, whole, {"row": plain, "failure": row.failure})


def pack(recipe: Recipe, path: Path, rows: Sequence[Row]) -> Table:
    """Gather the finished rows into the table's one file."""
    found: list[tuple[Row, dict[str, Tensor]]] = []
    folder = path.with_suffix(".rows")
    planned = [row.name for row in rows]
    others = {file.stem for file in folder.glob("*.safetensors")} - set(planned)
    for name in (*planned, *sorted(others)):  # a smaller plan drops nothing that is there
        file = folder / f"{name}.safetensors"
        if file.exists():
            tensors, metadata = atomic.read_tensors(file)
            if "row" not in metadata:
                raise RunError(f"{file} is no row of a table; move it elsewhere")
            made = Row(**{**metadata["row"], "failure": metadata["failure"]})
            found.append((made, tensors))
    # The last row made knows every series, also where the first were made before one was added.
    whole = next(ts for _, ts in reversed(found) if "exponents/hidden" in ts)

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
        {
            name: stacked(f"series/{name}", torch.nan)
            for name in SERIES
            if f"series/{name}" in whole
        },
        {state: stacked(f"exponents/{state}", torch.nan) for state in STATES},
        {state: stacked(f"layers/{state}", 0) for state in STATES},
        {state: stacked(f"floored/{state}", 0) for state in STATES},
        planned=len(planned) + len(others),
    )
    table.save(path)
    return table
