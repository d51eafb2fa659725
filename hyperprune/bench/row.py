"""Train one row of a table to the full budget, with all that is measured after every epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperprune.bench.table import SERIES, STATES, Row
from hyperprune.errors import Diverged
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.recipe import Recipe, apply
from hyperprune.store import atomic
from hyperprune.training.build import build_trainer, load_task, measure_spectrum, spectrum_text
from hyperprune.training.trainer import Trainer


def train_row(
    recipe: Recipe, row: Row, begun: Path | None = None
) -> tuple[dict[str, Tensor], str | None]:
    """Train one row to the full budget, with both spectra of every epoch; tensors, and what failed.

    `begun` is a file that keeps what is known after each epoch: a row that was stopped goes on from
    there, to the same bits.
    """
    own = recipe if row.dense else apply(recipe, row.configuration)
    own = own.model_copy(update={"seed": row.seed})
    task = load_task(recipe)
    trainer = build_trainer(own, task, sparse=not row.dense)
    text = spectrum_text(task, recipe.spectrum)
    known = _Known()
    if begun is not None and begun.exists():
        known.restore(trainer, begun)
    try:
        while trainer.epoch < recipe.train.epochs:
            started = time.process_time()
            metrics = trainer.run_epoch()
            trained = time.process_time()
            for state in STATES:
                settings = recipe.spectrum.model_copy(update={"state": state})
                known.add(state, measure_spectrum(trainer, text, settings))
            known.series["measuring"].append(time.process_time() - trained)
            topology = trainer.sparse.topology() if trainer.sparse else None
            known.series["train_loss"].append(metrics.train_loss)
            known.series["valid_loss"].append(metrics.valid_loss)
            known.series["averaging"].append(float(metrics.averaging))
            known.series["exploration"].append(topology.exploration if topology else 1.0)
            known.series["seconds"].append(time.process_time() - started)
            if begun is not None and trainer.epoch < recipe.train.epochs:
                known.save(trainer, begun)
    except Diverged as error:
        return known.tensors(recipe.train.epochs), str(error)
    return known.tensors(recipe.train.epochs), None


@dataclass
class _Known:
    """What a row's finished epochs came to, a list entry an epoch."""

    series: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SERIES})
    spectra: dict[str, list[Tensor]] = field(default_factory=dict)
    bounds: dict[str, Tensor] = field(default_factory=dict)

    def add(self, state: str, measured: LyapunovSpectrum) -> None:
        """Take note of a spectrum: each sequence's exponents, their layers, how many were floored."""
        values = {
            "exponents": measured.per_sequence.float(),
            "layers": measured.layers.to(torch.uint8),
            "floored": torch.tensor(measured.floored, dtype=torch.int32),
        }
        for name, value in values.items():
            self.spectra.setdefault(f"{name}/{state}", []).append(value)
        for name in ("floor", "resolution"):
            value = torch.tensor(getattr(measured, name), dtype=torch.float64)
            self.bounds[f"{name}/{state}"] = value

    def tensors(self, epochs: int) -> dict[str, Tensor]:
        """One tensor each, an entry an epoch; NaN or 0 where an epoch is missing."""
        found = {
            f"series/{name}": torch.tensor(values + [torch.nan] * (epochs - len(values)))
            for name, values in self.series.items()
        }
        for name, values in self.spectra.items():
            stacked = torch.stack(values)
            fill = torch.nan if stacked.is_floating_point() else 0
            missing = stacked.new_full((epochs - len(values), *stacked.shape[1:]), fill)
            found[name] = torch.cat([stacked, missing])
        return found | self.bounds

    def save(self, trainer: Trainer, path: Path) -> None:
        """Write the training's state beside what is known."""
        state, values = trainer.state()
        tensors = self.tensors(trainer.epoch) | {f"state/{n}": t for n, t in state.items()}
        atomic.write_tensors(path, tensors, {"values": values})

    def restore(self, trainer: Trainer, path: Path) -> None:
        """Put a training and its history back to where `save` left them."""
        tensors, metadata = atomic.read_tensors(path)
        state: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            if group == "state":
                state[rest] = tensor
            elif group == "series":
                self.series[rest] = [float(value) for value in tensor]
            elif group in ("floor", "resolution"):
                self.bounds[name] = tensor
            else:
                self.spectra[name] = list(tensor)
        values: dict[str, Any] = metadata["values"]
        trainer.load_state(state, values)
