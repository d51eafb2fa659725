"""Systems without inputs, as the engine sees driven ones."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import SpectrumError
from hyperprune.model import State


class Autonomous:
    """s' = F(s): a system whose step takes a state alone, or a function of a state."""

    def __init__(self, system: Any, state: State | Tensor | None) -> None:
        self.system, self.state = system, state
        step = getattr(system, "step", None)
        self.move = step if callable(step) else system
        parts = getattr(system, "state_parts", None)
        if parts is not None:
            self.state_parts = parts
        # A module is called as anything at all; what it takes is in its forward.
        takes = self.move.forward if isinstance(self.move, nn.Module) else self.move
        self.undriven = len(inspect.signature(takes).parameters) == 1

    def initial_state(self, batch: int) -> State | Tensor:
        """The state that was given, or the system's own."""
        make = getattr(self.system, "initial_state", None)
        if self.state is not None:
            return self.state
        if make is None:
            raise SpectrumError(
                "where does the system start? Give state=…, a tensor (B, n), or initial_state(batch)"
            )
        state: State | Tensor = make(batch)
        return state

    def step(self, x_t: Tensor, state: Any) -> Any:
        """One step; what drives it is empty."""
        return self.move(state) if self.undriven else self.move(x_t, state)


def no_inputs(system: Any, state: Any, burn_in: int, steps: int | None) -> tuple[Any, Tensor]:
    """The system and inputs (T, B, 0) for it; raises SpectrumError where nothing says how many."""
    if steps is None:
        raise SpectrumError("without inputs, say how long: steps=…")
    wrapped = Autonomous(system, state) if not hasattr(system, "tangent") else system
    first = wrapped.initial_state(1) if state is None else state
    part = first if isinstance(first, Tensor) else next(iter(first))
    if not isinstance(part, Tensor) or part.dim() != 2:
        raise SpectrumError("the state must be a tensor (B, n), or a tuple of them")
    return wrapped, torch.zeros(burn_in + steps, part.shape[0], 0)
