"""Shipped objectives: what a search can minimise early. What each is worth is in docs/evidence.md."""

from __future__ import annotations

from hyperprune.builtin.objectives.curves import beside_dense, extrapolated, loss, training_speed
from hyperprune.builtin.objectives.freeze_thaw import freeze_thaw
from hyperprune.builtin.objectives.spectra import (
    both,
    distance,
    explored,
    loss_and_lost,
    loss_then_distance,
    lost_directions,
)
from hyperprune.hookspecs import Contributions

OBJECTIVES: Contributions = {
    "loss": loss,
    "distance": distance,
    "both": both,
    "loss_then_distance": loss_then_distance,
    "explored": explored,
    "loss_and_lost": loss_and_lost,
    "lost_directions": lost_directions,
    "training_speed": training_speed,
    "extrapolated": extrapolated,
    "beside_dense": beside_dense,
    "freeze_thaw": freeze_thaw,
}
