"""Shipped searchers."""

from __future__ import annotations

from hyperprune.builtin.searchers.bayesian import ax
from hyperprune.builtin.searchers.grid import grid
from hyperprune.builtin.searchers.random import random
from hyperprune.hookspecs import Contributions

SEARCHERS: Contributions = {"ax": ax, "grid": grid, "random": random}
