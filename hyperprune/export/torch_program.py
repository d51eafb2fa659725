"""A network as a `torch.export` program, which needs no code of the model's plugin."""

from __future__ import annotations

from pathlib import Path

import torch

from hyperprune.errors import RunError
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.step import carries, sample, sequence_program, step_program
from hyperprune.runtime.quiet import quiet
from hyperprune.store import atomic

ABOUT = "hyperprune.json"
"""The file in the archive that says which network it is: torch.export.load's `extra_files`."""
TOLERANCE = 1e-5


def write_program(network: TrainedNetwork, path: Path, form: str = "step") -> None:
    """Write a .pt2 archive, after holding it against the model; raises RunError.

    `step`: tokens (B,) and state to log-probabilities (B, V) and state; `sequence`: tokens (T, B) to
    log-probabilities (T, B, V), for any T. Of other tasks inputs (…, F) to outputs (…, O); a network
    that carries no state has none in its program.
    """
    whole = form == "sequence"
    program = (sequence_program if whole else step_program)(network)
    run = program.module()
    with torch.no_grad(), quiet():
        if carries(network):
            inputs, state = sample(network, 5 if whole else 1, 3), network.initial_state(3)
            found, _ = run(inputs if whole else inputs[0], state)
        else:
            inputs, state = sample(network, network.about.sequences().steps or 1, 1), ()
            found = run(inputs)
        wanted, _ = network.predict(inputs, state)
    if (found - (wanted if whole else wanted[0])).abs().max() > TOLERANCE:
        raise RunError("the traced program computes something else than the model; not written")

    def fill(partial: Path) -> None:
        with partial.open("wb") as file, quiet():
            torch.export.save(program, file, extra_files={ABOUT: network.about.portable()})

    atomic.write(path, fill)
