"""Push the frames of all layers and sequences at once, with every core busy.

Layers and sequences are independent, so each worker thread takes some of them and runs its linear
algebra on its share of the cores; small blocks are taken several sequences at a time.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice

import torch
from torch import Tensor

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov.qr import blas
from hyperprune.lyapunov.qr.cholesky import CholeskyFrame
from hyperprune.lyapunov.qr.frame import Frame
from hyperprune.lyapunov.qr.graded import GradedFrame
from hyperprune.lyapunov.qr.pivoted import PivotedFrame
from hyperprune.lyapunov.tangent import LayerTangent, MemoryBlock, Scaled
from hyperprune.runtime.threads import torch_threads

CACHED = 2**17
"""Numbers of a block that one call should handle at least, where blocks are small (measured)."""


@cache
def _pool(workers: int, share: int, _process: int) -> ThreadPoolExecutor:
    """A process's threads for frames, kept: a new one has to set up its own linear algebra first."""
    return ThreadPoolExecutor(
        workers, "hyperprune-frames", initializer=torch.set_num_threads, initargs=(share,)
    )


@dataclass(frozen=True)
class Chain:
    """The frames of one layer for some of the sequences."""

    layer: int
    rows: slice
    frame: Frame | None  # None where the identity stays one: the blocks only scale


class Frames:
    """Frames of all layers and sequences of a network.

    sizes: n of each layer, bottom first; k: leading columns to follow in each, all unless given, and all of
    a layer that only scales: its own leading directions are in any of its columns;
    dtype: of the linear algebra (blocks are float64); floor: stands for R_ii that are noise; transpose:
    push through Jᵀ instead of J; cores: to keep busy; scaled: layers whose blocks are `Scaled`.
    Raises SpectrumError for more columns than dimensions.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        k: int | None,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
        floor: float,
        *,
        transpose: bool = False,
        cores: int = 1,
        scaled: Collection[int] = (),
    ) -> None:
        if k is not None and k > sum(sizes):
            raise SpectrumError(f"k = {k} exponents are asked for, but the state has {sum(sizes)}")
        self.columns = [
            size if k is None or layer in scaled else min(k, size)
            for layer, size in enumerate(sizes)
        ]
        self.transpose, self.dtype, self.floor = transpose, dtype, floor
        on_cpu = device.type == "cpu"
        self.cores = cores if on_cpu else 1
        self.chains = [
            Chain(
                layer,
                rows,
                None
                if layer in scaled
                else make_frame(rows.stop - rows.start, n, k, dtype, device),
            )
            for layer, (n, k) in enumerate(zip(sizes, self.columns, strict=True))
            for rows in self._cut(batch, n, len(sizes), not on_cpu)
        ]
        workers = min(self.cores, len(self.chains))
        self.share = max(1, self.cores // workers)
        self.pool = _pool(workers, self.share, os.getpid()) if workers > 1 else None

    def _cut(self, batch: int, n: int, layers: int, whole: bool) -> list[slice]:
        """Cut the sequences into groups: few enough for calls worth their cost, enough for all cores."""
        group = batch if whole else max(1, min(CACHED // n**2, -(-batch * layers // self.cores)))
        return [slice(first, min(first + group, batch)) for first in range(0, batch, group)]

    def push(
        self, tangents: Sequence[LayerTangent], parts: Sequence[tuple[int, bool]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Push every frame through the blocks of one segment.

        parts: how many steps to sum over, and whether to settle the sum after them. For each, returns
        Σ_t ln R_t,ii (B, Σ k), the floor in place of each R_t,ii that is noise, and how many are. Only
        sums that run from the end of one settled part to the end of another are meaningful.
        """

        @torch.no_grad()
        def run(chain: Chain) -> list[tuple[Tensor, Tensor]]:
            steps = range(sum(steps for steps, _ in parts))
            diagonals = self._advance(chain, tangents[chain.layer], steps)
            return [
                self._sum(chain.frame, torch.stack(list(islice(diagonals, steps))), settle)
                for steps, settle in parts
            ]

        with blas.threads(self.share), torch_threads(self.share if self.pool is None else 1):
            found = list((map if self.pool is None else self.pool.map)(run, self.chains))
        return [self._collect([sums[part] for sums in found]) for part in range(len(parts))]

    def _sum(self, frame: Frame | None, diagonal: Tensor, settle: bool) -> tuple[Tensor, Tensor]:
        """Sum of logs (b, k) of a part's diagonals (T, b, k), and how many of them are noise."""
        noise = diagonal == 0
        if not bool(noise.any()):
            logs = diagonal.log_().sum(0)
            return logs + _settled(frame) if settle else logs, noise.new_zeros(
                (), dtype=torch.int64
            )
        peak = diagonal.amax(-1, keepdim=True)
        stated = self.floor * torch.where(peak == 0, 1.0, peak).clamp_max(1)
        logs = torch.where(noise, stated, diagonal).log().sum(0)
        return logs + _settled(frame) if settle else logs, noise.sum()

    def _collect(self, sums: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """All chains' sums as (B, Σ k), and the total of the counts."""
        layers: list[list[Tensor]] = [[] for _ in self.columns]
        for chain, (logs, _) in zip(self.chains, sums, strict=True):
            layers[chain.layer].append(logs)
        logs = torch.cat([torch.cat(parts) for parts in layers], -1)
        return logs, torch.stack([floored for _, floored in sums]).sum()

    def _advance(self, chain: Chain, tangent: LayerTangent, steps: range) -> Iterator[Tensor]:
        """Push one chain's frame through its blocks: |diag| (b, k) of the factor of each step."""
        frame = chain.frame
        if isinstance(tangent, Scaled):  # the identity is turned in planes at most: R is the sizes
            for t in steps:
                yield tangent.moduli[t, chain.rows].to(self.dtype)
            return
        assert frame is not None
        multiplies = type(tangent).product is not LayerTangent.product  # without making the block
        if frame.narrow and multiplies and not self.transpose:
            for t in steps:
                Q = frame.columns().to(torch.float64)
                yield frame.factor(tangent.product(t, chain.rows, Q).to(self.dtype))
            return
        for block in tangent.blocks(steps, chain.rows):
            if self.transpose:
                dense = block.dense() if isinstance(block, MemoryBlock) else block
                yield frame.advance(dense.mT)
            else:
                yield frame.advance(block)


def _settled(frame: Frame | None) -> Tensor | float:
    return 0.0 if frame is None else frame.settle()


def make_frame(b: int, n: int, k: int, dtype: torch.dtype, device: torch.device) -> Frame:
    """The fastest frame of a platform: elimination on a CPU, CholeskyQR2 in float64 on a GPU."""
    wanted: type[Frame] = PivotedFrame
    if dtype == torch.float32:
        wanted = GradedFrame
    elif device.type != "cpu":
        wanted = CholeskyFrame
    return wanted(b, n, k, dtype, device)
