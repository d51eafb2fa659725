"""A network as a `torch.export` program, which needs no code of the model's plugin."""

from __future__ import annotations

from pathlib import Path

import torch

from hyperprune.errors import RunError
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.step import step_program
from hyperprune.runtime.quiet import quiet
from hyperprune.store import atomic

ABOUT = "hyperprune.json"
"""The file in the archive that says which network it is: torch.export.load's `extra_files`."""
TOLERANCE = 1e-5


def write_program(network: TrainedNetwork, path: Path) -> None:
    """Write the step as a .pt2 archive, after holding it against the model; raises RunError."""
    program = step_program(network)
    token, state = torch.tensor([0, 1, 0]) % len(network.vocabulary), network.initial_state(3)
    with torch.no_grad(), quiet():
        found, _ = program.module()(token, state)
        wanted, _ = network.predict(token.unsqueeze(0), state)
    if (found - wanted[0]).abs().max() > TOLERANCE:
        raise RunError("the traced program computes something else than the model; not written")

    def fill(partial: Path) -> None:
        with partial.open("wb") as file, quiet():
            torch.export.save(program, file, extra_files={ABOUT: network.about.portable()})

    atomic.write(path, fill)
