"""What a run found, as frozen records and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import TypeAdapter

from hyperprune.errors import RunError
from hyperprune.judgement import notebook
from hyperprune.judgement.margin import Margin
from hyperprune.search.goal import Goal
from hyperprune.store import layout

if TYPE_CHECKING:
    import pandas as pd

CandidateState: TypeAlias = Literal["winner", "finalist", "eliminated", "failed", "unfinished"]


TELLING = 8
"""Survivors from which a rank correlation is worth reading: over eight, chance alone
still goes beyond ±0.74 one time in twenty."""


@dataclass(frozen=True)
class CandidateResult:
    """One pruning configuration and how far it came.

    `distance` and its error are those of the last epoch at which candidates were judged;
    `valid_perplexity` is the best of all its epochs, reached at `best_epoch`.
    """

    name: str
    configuration: Mapping[str, Any]
    state: CandidateState
    epochs: int
    distance: float | None
    distance_error: float | None
    distance_noise: float | None  # between halves of one model's own sequences
    valid_perplexity: float | None
    best_epoch: int | None
    met_target: int | None  # first epoch at or below the dense target
    cause: str | None  # why it failed
    lost: float | None = (
        None  # directions of its spectrum below the resolution, mean over sequences
    )
    dense_lost: float | None = None  # of the dense spectrum that it was held against
    exponents: int | None = None  # of how many
    rests_on: int | None = None  # exponents that make up nine tenths of the squared differences


@dataclass(frozen=True)
class Signal:
    """Spearman correlations over this run's survivors of the first round, with the perplexity last known.

    None where fewer than three survive. `survivors` is how many there are.
    """

    survivors: int
    early_distance: float | None
    early_loss: float | None

    @property
    def telling(self) -> bool:
        """Whether there are enough survivors for a correlation to say anything."""
        return self.survivors >= TELLING


@dataclass(frozen=True)
class FrontierPoint:
    """A finalist that no other beats in both active weights and perplexity (validation)."""

    name: str
    active: int
    sparsity: float
    perplexity: float
    meets_target: bool


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run. Perplexities are exp of nats per token; counts are numbers of weights."""

    title: str
    winner: str
    candidates: tuple[CandidateResult, ...]
    dense_perplexity: float  # validation: the target
    dense_test_perplexity: float
    test_perplexity: float  # the winner's, read once
    active: int
    masked: int
    total: int
    dense_epochs: int
    search_epochs: int
    full_search_epochs: int
    signal: Signal
    overlooked: str | None = None  # went out with a lower perplexity than the winner's
    perplexities: tuple[float, ...] = ()  # the winner's best, of each seed
    dense_perplexities: tuple[float, ...] = ()
    margin: Margin | None = None  # between the two, over seeds
    saved_epochs: int = 0  # that stopping at the target spared
    goal: Goal = "perplexity"
    frontier: tuple[FrontierPoint, ...] = ()  # the smallest first; where size counts
    folder: str = ""

    @property
    def best(self) -> CandidateResult:
        """The winning candidate."""
        return next(item for item in self.candidates if item.name == self.winner)

    def candidates_frame(self) -> pd.DataFrame:
        """Candidates as a pandas frame, indexed by name, a column a setting by its path."""
        return notebook.as_frame(self)

    def _repr_html_(self) -> str:
        return notebook.as_html(self)

    def to_json(self) -> dict[str, Any]:
        """Everything but the folder: equal runs have equal records."""
        return {key: value for key, value in asdict(self).items() if key != "folder"}

    @classmethod
    def from_json(cls, data: Any, folder: Path) -> RunResult:
        """Read what `to_json` wrote; raises RunError when it is something else."""
        try:
            content = json.dumps({**data, "folder": str(folder)})
            found = TypeAdapter(cls).validate_json(content, strict=True)
            _ = found.best
        except (TypeError, ValueError, StopIteration) as error:
            raise RunError(
                f"{folder / layout.RESULT} is damaged; without it, resuming finds the same result"
            ) from error
        return found
