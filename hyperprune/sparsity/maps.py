"""Density maps: a mask as a picture small enough to keep."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Map: TypeAlias = NDArray[np.float32]
CELLS = 48
"""Rows and columns of a map at most; each cell is the density of a block."""


def density_map(mask: Tensor) -> Map:
    """Share of active weights of a mask (rows, columns) over at most CELLS × CELLS even blocks."""
    active = mask.detach().cpu().numpy().astype(np.float64)
    edges = [np.unique(np.linspace(0, n, min(n, CELLS) + 1).astype(int)) for n in active.shape]
    sums = np.add.reduceat(np.add.reduceat(active, edges[0][:-1], 0), edges[1][:-1], 1)
    sizes = np.outer(np.diff(edges[0]), np.diff(edges[1]))
    density: Map = (sums / sizes).astype(np.float32)
    return density
