"""What a search minimises early: a score for each candidate, from what is known of all compared.

An objective is a plugin. A run makes a `Comparison` of its candidates and a replay makes one of a
table's rows; both call the same function and read its answer here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hyperprune.errors import PluginError


@dataclass(frozen=True)
class Progress:
    """What is known of one candidate; every sequence has an entry for each epoch it has trained.

    train_losses, valid_losses: nats per token. distances: LS distance to the dense reference, with
    its jackknife error and its same-model noise where they are known; empty where there is no
    spectrum to compare with. lost: exponents below what float32 weights resolve, mean over
    sequences; reference_lost: those of the spectrum it is held against. exploration: share of masked
    weights that were ever active.
    """

    train_losses: Sequence[float]
    valid_losses: Sequence[float]
    distances: Sequence[float] = ()
    errors: Sequence[float | None] = ()
    noises: Sequence[float | None] = ()
    lost: Sequence[float] = ()
    reference_lost: Sequence[float] = ()
    exploration: Sequence[float] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """How long it has trained: what it has cost so far."""
        return len(self.valid_losses)


@dataclass(frozen=True)
class Comparison:
    """Candidates that have trained equally long, and the dense network they are held against.

    budget: epochs of a full training. dense: the dense reference's whole course, which reaches beyond
    the candidates' epochs; None where only a target is known. target: validation loss to reach.
    """

    candidates: Sequence[Progress]
    budget: int
    dense: Progress | None = None
    target: float | None = None


@dataclass(frozen=True)
class Score:
    """What is minimised, with its standard error where there is one."""

    value: float
    standard_error: float | None = None


Answer: TypeAlias = Sequence[float | Score]
Objective: TypeAlias = Callable[[Comparison], Answer]


def scores(objective: Objective, compared: Comparison, name: str = "objective") -> list[Score]:
    """Ask an objective for a score each; raises PluginError for any answer that is no such thing."""
    if not compared.candidates:
        return []
    answer = objective(compared)
    if isinstance(answer, (str, bytes)) or not isinstance(answer, Sequence):
        raise PluginError(
            f"objective {name!r} answered with a {type(answer).__name__}; expected a list of scores"
        )
    found = [item if isinstance(item, Score) else _score(item, name) for item in answer]
    if len(found) != len(compared.candidates):
        raise PluginError(
            f"objective {name!r} gave {len(found)} scores for {len(compared.candidates)} candidates"
        )
    for item in found:
        if not math.isfinite(item.value):
            raise PluginError(f"objective {name!r} gave {item.value}; a score is finite")
    return found


def needs_of(objective: Callable[..., Any]) -> frozenset[str]:
    """What an objective declares that it cannot do without (`hookspecs.needs`)."""
    target = getattr(objective, "func", objective)  # options may be bound to it
    return frozenset(getattr(target, "needs", ()))


def _score(value: object, name: str) -> Score:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PluginError(f"objective {name!r} gave {value!r}; a score is a number")
    return Score(float(value))
