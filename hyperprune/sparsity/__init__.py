"""Sparse training: a fixed number of active weights, which move about while the others are 0.

`SparseTraining` wraps any module and optimiser. Six small answers make a method; each is a plugin,
a function whose positional parameters come from here and whose keyword-only ones are the user's:

- init: `share(view) -> float`, a tensor's weight in sharing out the active entries (the number of
  its weights for equal densities); or a list of g such numbers, one for each of g equal blocks of
  rows; or, for every tensor, a salience of the weights' shape: the network's highest stay.
  Placement inside a block is by lot.
- removal: `salience(view) -> Tensor`; the lowest active entries go, ⌈r·n⌉ of each tensor unless
  `hookspecs.control(counts=…)` declares otherwise, and never a tensor's last one.
- growth: `salience(view) -> Tensor`; the highest inactive entries come, with value 0. What was just
  removed is inactive too.
- redistribution: `share(view) -> float`, a tensor's weight in sharing out what is to grow;
  `view.count` is what it lost, and its mask and weights are those before the removal.
- schedule: `rate(progress, start) -> float` in [0, 1].

Equal saliences are settled by lot, so a constant one means "no preference". Randomness comes from
the seed, the update's number and the tensor's name, never from what was drawn before.
"""

from hyperprune.sparsity.engine import SparseTraining, check_tensors
from hyperprune.sparsity.topology import TensorTopology, Topology
from hyperprune.sparsity.view import TensorView

__all__ = ["SparseTraining", "TensorTopology", "TensorView", "Topology", "check_tensors"]
