"""A table: configurations trained to the full budget, each epoch with its losses and spectra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperprune.errors import RunError
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.lyapunov.record import WITHOUT_RESOLUTION, mean_and_error
from hyperprune.recipe import Recipe, loads
from hyperprune.store import atomic

FORMAT = "hyperprune.table/1"
STATES = ("hidden", "full")
SERIES = ("train_loss", "valid_loss", "averaging", "exploration", "seconds", "measuring")


@dataclass(frozen=True)
class Row:
    """One training: its name, what it trained, from which seed, and why it ended early if it did."""

    name: str
    role: str  # dense, default, sample, or repeat (another seed of a configuration)
    seed: int
    configuration: Mapping[str, Any]
    failure: str | None = None

    @property
    def dense(self) -> bool:
        """Whether this is a dense reference."""
        return self.role == "dense"

    @property
    def sampled(self) -> bool:
        """Whether this is a configuration: neither a dense reference nor another seed of one."""
        return self.role in ("default", "sample")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with their series, one entry an epoch, NaN after a failure; M rows, E epochs.

    series: name → (M, E) float32; losses in nats per token, `seconds` of processor for the whole epoch
    and `measuring` for the spectra in it (older tables have no such series).
    exponents: state → (M, E, B, k) float32, each sequence's exponents, ordered by their mean.
    layers: state → (M, E, k) uint8. floored: state → (M, E) int32. planned: rows of the whole table.
    """

    recipe_text: str
    environment: Mapping[str, Any]
    corpus_sha256: str
    rows: tuple[Row, ...]
    series: Mapping[str, Tensor]
    exponents: Mapping[str, Tensor]
    layers: Mapping[str, Tensor]
    floored: Mapping[str, Tensor]
    planned: int = 0

    @property
    def missing(self) -> int:
        """Rows that are planned and not made yet: what a partial table lacks."""
        return max(0, self.planned - len(self.rows))

    @property
    def recipe(self) -> Recipe:
        """The recipe that made the table."""
        return loads(self.recipe_text, "the table's recipe")

    @property
    def epochs(self) -> int:
        """The full budget E."""
        return self.series["valid_loss"].shape[1]

    def index(self, name: str) -> int:
        """Position of a row."""
        return next(i for i, row in enumerate(self.rows) if row.name == name)

    def dense_row(self, seed: int) -> int:
        """Position of a seed's dense reference."""
        return next(i for i, row in enumerate(self.rows) if row.dense and row.seed == seed)

    def spectrum(self, row: int, epoch: int, state: str) -> LyapunovSpectrum:
        """The spectrum of a row after an epoch (from 1); `drift` is not kept."""
        per_sequence = self.exponents[state][row, epoch - 1].double()
        mean, error = mean_and_error(per_sequence)
        settings = self.recipe_settings
        return LyapunovSpectrum(
            exponents=mean,
            standard_error=error,
            drift=torch.full_like(mean, torch.nan),
            per_sequence=per_sequence,
            layers=self.layers[state][row, epoch - 1].long(),
            steps=settings["steps"],
            burn_in=settings["burn_in"],
            floored=int(self.floored[state][row, epoch - 1]),
            floor=settings["floor"],
            state_kind=state,  # type: ignore[arg-type]
            protocol="standard",
            dtype=settings["dtype"],
            resolution=settings.get("resolution", WITHOUT_RESOLUTION),
        )

    @property
    def recipe_settings(self) -> Mapping[str, Any]:
        """How the spectra were measured."""
        settings: Mapping[str, Any] = self.environment["spectra"]
        return settings

    def save(self, path: Path) -> None:
        """Write one safetensors file, atomically."""
        tensors = {f"series/{name}": tensor for name, tensor in self.series.items()}
        for group in ("exponents", "layers", "floored"):
            tensors |= {f"{group}/{state}": t for state, t in getattr(self, group).items()}
        metadata = {
            "format": FORMAT,
            "recipe": self.recipe_text,
            "environment": dict(self.environment),
            "corpus_sha256": self.corpus_sha256,
            "rows": [asdict(row) for row in self.rows],
            "planned": max(self.planned, len(self.rows)),
        }
        atomic.write_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read a table; raises RunError for a file that holds none, or one of another version."""
        tensors, metadata = atomic.read_tensors(path)
        if metadata.get("format") != FORMAT:
            raise RunError(f"{path} holds no table of this version ({FORMAT})")

        def group(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(f"{prefix}/"): tensor
                for name, tensor in tensors.items()
                if name.startswith(f"{prefix}/")
            }

        return cls(
            metadata["recipe"],
            metadata["environment"],
            metadata["corpus_sha256"],
            tuple(Row(**row) for row in metadata["rows"]),
            group("series"),
            group("exponents"),
            group("layers"),
            group("floored"),
            int(metadata.get("planned", 0)),
        )
