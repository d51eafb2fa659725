"""Shipped controls."""

from __future__ import annotations

from hyperprune.builtin.controls import (
    growths,
    inits,
    presets,
    redistributions,
    removals,
    schedules,
)
from hyperprune.hookspecs import Contributions

INITS: Contributions = {
    "uniform": inits.uniform,
    "er": inits.er,
    "balanced_row": inits.balanced_row,
    "balanced_gate": inits.balanced_gate,
    "by_gate": inits.by_gate,
    "snip": inits.snip,
    "magnitude": inits.magnitude,
}
REMOVALS: Contributions = {
    "magnitude": removals.magnitude,
    "set": removals.set_zones,
    "global_magnitude": removals.global_magnitude,
    "threshold": removals.threshold,
    "taylor": removals.taylor,
    "mest": removals.mest,
    "random": removals.random,
}
GROWTHS: Contributions = {
    "random": growths.random,
    "gradient": growths.gradient,
    "momentum": growths.momentum,
    "cell_gate": growths.cell_gate,
    "by_gate": growths.by_gate,
    "random_unfired": growths.random_unfired,
}
REDISTRIBUTIONS: Contributions = {
    "none": redistributions.none,
    "magnitude": redistributions.magnitude,
    "momentum": redistributions.momentum,
    "nonzeros": redistributions.nonzeros,
    "gradient": redistributions.gradient,
}
SCHEDULES: Contributions = {
    "cosine": schedules.cosine,
    "linear": schedules.linear,
    "constant": schedules.constant,
    "polynomial": schedules.polynomial,
}
PRESETS: Contributions = {
    "static": presets.static,
    "set": presets.set_,
    "rigl": presets.rigl,
    "snfs": presets.snfs,
    "selfish_rnn": presets.selfish_rnn,
    "itop": presets.itop,
    "gradual": presets.gradual,
    "snip": presets.snip,
}
