"""A Lyapunov spectrum as a frozen record: what was measured, how sure it is, how to keep it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov.tangent import StateKind

Protocol: TypeAlias = Literal["standard", "published"]

ARRAYS = ("exponents", "standard_error", "drift", "per_sequence", "layers")
OPTIONAL = ("block_error", "autocorrelation_time", "history")
FORMAT = "hyperprune.lyapunov_spectrum/2"
READABLE = (FORMAT, "hyperprune.lyapunov_spectrum/1")
WITHOUT_RESOLUTION = -8.0
"""Of files of 0.1, which were measured on float32 weights."""


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Lyapunov exponents of a driven network, with their errors.

    exponents: (k,) mean over sequences; nats per step, largest first. Protocol "published": bits
        per step, in the order of the layers and of R's diagonal, unsorted.
    standard_error: (k,) of that mean, over sequences; NaN for a single sequence.
    drift: (k,) half the absolute difference between the means of the first and the second half of
        the steps: what the standard error misses, transients that all sequences share.
    per_sequence: (B, k) the exponents of each sequence, in the order of `exponents`.
    layers: (k,) int64, the layer each exponent belongs to, bottom layer 0.
    steps: counted steps T; burn_in: steps before them. floored: entries of R below `floor`.
    block_error: (k,) standard error of the mean over time, from blocks of steps; NaN where there were
        too few; autocorrelation_time: (k,) of the exponents' terms, in steps times `dt`.
    history: (m, k) the means until each block's end, after `history_steps` counted steps; kept on
        request. These three are of all sequences.
    layer_names: of the layers of `layers`, where the network has names for them.
    dt: time that a step takes; everything is per unit of time.
    resolution: exponents at or below it are lost directions, whose values say nothing (see
        `hyperprune.lyapunov.resolution`); −inf where all are taken at their word.
    """

    exponents: Tensor
    standard_error: Tensor
    drift: Tensor
    per_sequence: Tensor
    layers: Tensor
    steps: int
    burn_in: int
    floored: int
    floor: float
    state_kind: StateKind
    protocol: Protocol
    dtype: str
    resolution: float = WITHOUT_RESOLUTION
    dt: float = 1.0
    block_error: Tensor | None = None
    autocorrelation_time: Tensor | None = None
    history: Tensor | None = None
    history_steps: tuple[int, ...] = ()
    layer_names: tuple[str, ...] = ()

    @cached_property
    def layer_numbers(self) -> list[int]:
        """Layers that have exponents here, bottom layer first."""
        found: list[int] = self.layers.unique().tolist()
        return found

    @cached_property
    def _lowest(self) -> float:
        """The lowest exponent of any sequence."""
        return float(self.per_sequence.min())

    @property
    def lost_directions(self) -> Tensor:
        """Exponents at or below the resolution, by sequence and layer: (B, L) int64."""
        lost = self.per_sequence <= self.resolution
        return torch.stack(
            [lost[:, self.layers == layer].sum(-1) for layer in self.layer_numbers], -1
        )

    @property
    def lost(self) -> float:
        """Lost directions of all layers, mean over sequences."""
        return float(self.lost_directions.sum(-1).double().mean())

    def resolved(self, resolution: float | None = None) -> LyapunovSpectrum:
        """The spectrum with each sequence's exponents raised to the resolution, its own unless given.

        What distances compare. Sorted anew, as a mean over sequences may have changed its place.
        """
        at = self.resolution if resolution is None else resolution
        if math.isinf(at):
            return self
        if not self._lowest < at:
            return self if at == self.resolution else replace(self, resolution=at)
        clipped = replace(self, per_sequence=self.per_sequence.clamp_min(at), resolution=at)
        return clipped.select(torch.arange(self.sequences))

    def raw(self) -> LyapunovSpectrum:
        """The same exponents without a resolution, for distances that should use all as measured."""
        return replace(self, resolution=-math.inf)

    @property
    def sequences(self) -> int:
        """Number of sequences B."""
        return self.per_sequence.shape[0]

    @property
    def sum(self) -> float:
        """Sum of the exponents: the mean log volume change a step, where all n are present."""
        return float(self.exponents.sum())

    @property
    def largest(self) -> float:
        """The largest exponent."""
        return float(self.exponents.max())

    @property
    def kaplan_yorke(self) -> float:
        """Kaplan–Yorke dimension j + (λ_1 + … + λ_j) / |λ_{j+1}|, exponents in descending order.

        j is the most leading exponents whose sum is not negative: 0 for a contraction, all k where
        no partial sum is negative (Kaplan & Yorke 1979).
        """
        return kaplan_yorke(self.exponents)

    @property
    def kaplan_yorke_error(self) -> float:
        """Its standard error, by the jackknife over sequences; NaN for a single one."""
        return self._jackknife(lambda spectrum: spectrum.kaplan_yorke)

    @property
    def entropy(self) -> float:
        """Sum of the positive exponents: the entropy rate, or a bound to it (Pesin 1977; Ruelle 1978)."""
        return float(self.exponents.clamp_min(0).sum())

    @property
    def entropy_error(self) -> float:
        """Its standard error, by the jackknife over sequences; NaN for a single one."""
        return self._jackknife(lambda spectrum: spectrum.entropy)

    @property
    def unit(self) -> str:
        """What the exponents are counted in."""
        information = "bits" if self.protocol == "published" else "nats"
        return f"{information} per step" if self.dt == 1 else f"{information} per unit of time"

    def _jackknife(self, what: Callable[[LyapunovSpectrum], float]) -> float:
        if self.sequences < 2:
            return math.nan
        every = torch.arange(self.sequences)
        left = torch.tensor(
            [what(self.select(every[every != out])) for out in every], dtype=torch.float64
        )
        return float(((self.sequences - 1) * left.var(correction=0)) ** 0.5)

    def _repr_html_(self) -> str:
        """Notebooks draw the spectrum."""
        from hyperprune.lyapunov.notebook import as_html

        return as_html(self)

    def sorted(self) -> Tensor:
        """Exponents of all layers together, largest first: (k,)."""
        return self.exponents.sort(descending=True).values

    def by_layer(self) -> tuple[Tensor, ...]:
        """Exponents of each layer, bottom layer first, each largest first."""
        return self._sorted_layers

    @cached_property
    def _sorted_layers(self) -> tuple[Tensor, ...]:
        """Distances of many kinds ask for them again and again."""
        return tuple(
            self.exponents[self.layers == layer].sort(descending=True).values
            for layer in self.layer_numbers
        )

    def by_name(self) -> dict[str, Tensor]:
        """Exponents of each layer by its name, each largest first; unnamed layers have their number."""
        names = [self.layer_names[n] if self.layer_names else str(n) for n in self.layer_numbers]
        return dict(zip(names, self.by_layer(), strict=True))

    def select(self, sequences: Tensor) -> LyapunovSpectrum:
        """The spectrum of some of the sequences (indices), as if they alone had been measured.

        Only `drift` and `floored` stay those of all sequences, which the record does not separate.
        """
        chosen = self.per_sequence[sequences]  # (b, k)
        order = torch.arange(chosen.shape[1])
        if self.protocol == "standard":
            order = chosen.mean(0).argsort(descending=True, stable=True)
        chosen = chosen[:, order]
        mean, error = mean_and_error(chosen)
        return replace(
            self,
            exponents=mean,
            standard_error=error,
            drift=self.drift[order],
            per_sequence=chosen,
            layers=self.layers[order],
            block_error=_in(order, self.block_error),
            autocorrelation_time=_in(order, self.autocorrelation_time),
            history=_in(order, self.history),
        )

    def check_comparable(self, other: LyapunovSpectrum) -> None:
        """Raise SpectrumError where a distance to the other spectrum would mean nothing."""
        for what in ("state_kind", "protocol"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise SpectrumError(
                    f"spectra of different {what} are different objects: {mine!r} and {theirs!r}"
                )

    def save(self, path: Path | str) -> None:
        """Write to a safetensors file, with everything that is no array as JSON metadata."""
        rest = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name not in (*ARRAYS, *OPTIONAL)
        }
        rest["resolution"] = self.resolution if math.isfinite(self.resolution) else None
        if not self.layer_names:
            del rest["layer_names"]
        kept = {name: getattr(self, name) for name in (*ARRAYS, *OPTIONAL)}
        arrays = {name: own.contiguous().cpu() for name, own in kept.items() if own is not None}
        save_file(arrays, path, metadata={"format": FORMAT, "spectrum": json.dumps(rest)})

    @classmethod
    def load(cls, path: Path | str) -> LyapunovSpectrum:
        """Read what `save` wrote; raises SpectrumError for anything else."""
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") not in READABLE:
                    raise SpectrumError(f"{path} holds no Lyapunov spectrum ({FORMAT})")
                rest: dict[str, Any] = json.loads(metadata["spectrum"])
                # 0.1 had none: the published protocol still has none, as its authors compare raw.
                missing = None if rest["protocol"] == "published" else WITHOUT_RESOLUTION
                known = rest.setdefault("resolution", missing)
                rest["resolution"] = -math.inf if known is None else float(known)
                rest["history_steps"] = tuple(rest.get("history_steps", ()))
                rest["layer_names"] = tuple(rest.get("layer_names", ()))
                there = set(file.keys()) & set(OPTIONAL)
                names = (*ARRAYS, *(name for name in OPTIONAL if name in there))
                return cls(**{name: file.get_tensor(name) for name in names}, **rest)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise SpectrumError(f"cannot read a Lyapunov spectrum from {path}: {error}") from error


def _in(order: Tensor, values: Tensor | None) -> Tensor | None:
    return None if values is None else values[..., order]


def mean_and_error(per_sequence: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over sequences (B, k) and its standard error; NaN where one sequence says nothing."""
    mean = per_sequence.mean(0)
    if per_sequence.shape[0] < 2:
        return mean, torch.full_like(mean, torch.nan)
    return mean, per_sequence.std(0) / per_sequence.shape[0] ** 0.5


def kaplan_yorke(exponents: Tensor) -> float:
    """Kaplan–Yorke dimension of exponents in any order (Kaplan & Yorke 1979)."""
    ordered = exponents.sort(descending=True).values
    sums = ordered.cumsum(0)
    j = int((sums >= 0).int().cumprod(0).sum())
    if j == 0:
        return 0.0
    if j == len(ordered):
        return float(j)
    return j + float(sums[j - 1] / -ordered[j])
