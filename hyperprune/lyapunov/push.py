"""Push the frames of all layers and sequences at once, with every core busy.

Layers and sequences are independent, so each worker thread takes some of them and runs its linear
algebra on its share of the cores; small blocks are taken several sequences at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov.frame import Frame, make_frame
from hyperprune.lyapunov.tangent import LayerTangent, MemoryBlock

CACHED = 2**17
"""Numbers of a block that one call should handle at least, where blocks are small (measured)."""


@dataclass(frozen=True)
class Chain:
    """The frames of one layer for some of the sequences."""

    layer: int
    rows: slice
    frame: Frame


class Frames:
    """Frames of all layers and sequences of a network.

    sizes: n of each layer, bottom first; k: leading columns to follow in each, all unless given;
    dtype: of the linear algebra (blocks are float64); transpose: push through Jᵀ instead of J.
    Raises SpectrumError for more columns than dimensions.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        k: int | None,
        batch: int,
        dtype: torch.dtype,
        device: torch.device,
        *,
        transpose: bool = False,
    ) -> None:
        if k is not None and k > sum(sizes):
            raise SpectrumError(f"k = {k} exponents are asked for, but the state has {sum(sizes)}")
        self.columns = [size if k is None else min(k, size) for size in sizes]
        self.transpose, self.dtype = transpose, dtype
        self.cores = 1 if device.type == "cuda" else torch.get_num_threads()
        self.chains = [
            Chain(layer, rows, make_frame(rows.stop - rows.start, n, k, dtype, device))
            for layer, (n, k) in enumerate(zip(sizes, self.columns, strict=True))
            for rows in self._cut(batch, n, len(sizes), device.type == "cuda")
        ]

    def _cut(self, batch: int, n: int, layers: int, whole: bool) -> list[slice]:
        """Cut the sequences into groups: few enough for calls worth their cost, enough for all cores."""
        group = batch if whole else max(1, min(CACHED // n**2, -(-batch * layers // self.cores)))
        return [slice(first, min(first + group, batch)) for first in range(0, batch, group)]

    def push(self, tangents: Sequence[LayerTangent], steps: int) -> Tensor:
        """Push every frame through its blocks of a segment: |diag R| (steps, B, Σ k)."""

        @torch.no_grad()
        def run(chain: Chain) -> Tensor:
            tangent = tangents[chain.layer]
            return torch.stack([self._advance(chain, tangent, t) for t in range(steps)])

        workers = min(self.cores, len(self.chains))
        if workers == 1:
            diagonals = [run(chain) for chain in self.chains]
        else:
            threads = torch.get_num_threads()
            share = (max(1, self.cores // workers),)
            with ThreadPoolExecutor(
                workers, initializer=torch.set_num_threads, initargs=share
            ) as pool:
                diagonals = list(pool.map(run, self.chains))
            torch.set_num_threads(threads)  # what new threads start with is shared by the process
        layers: list[list[Tensor]] = [[] for _ in self.columns]
        for chain, diagonal in zip(self.chains, diagonals, strict=True):
            layers[chain.layer].append(diagonal)
        return torch.cat([torch.cat(parts, 1) for parts in layers], -1)

    def _advance(self, chain: Chain, tangent: LayerTangent, t: int) -> Tensor:
        frame = chain.frame
        if frame.narrow and not self.transpose:
            Q = frame.columns().to(torch.float64)
            return frame.factor(tangent.product(t, chain.rows, Q).to(self.dtype))
        block = tangent.block(t, chain.rows)
        if self.transpose:
            block = (block.dense() if isinstance(block, MemoryBlock) else block).mT
        return frame.advance(block)
