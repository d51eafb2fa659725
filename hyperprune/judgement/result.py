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
from hyperprune.judgement.arms import Arm
from hyperprune.judgement.budget import BudgetVerdict
from hyperprune.judgement.int8 import Int8Verdict
from hyperprune.judgement.margin import Margin
from hyperprune.search.goal import Goal
from hyperprune.store import layout
from hyperprune.terms.metric import PERPLEXITY, Metric

if TYPE_CHECKING:
    import pandas as pd

    from hyperprune.judgement.frames import RunData

CandidateState: TypeAlias = Literal["winner", "finalist", "eliminated", "failed", "unfinished"]


TELLING = 8
"""Survivors from which a rank correlation is worth reading: over eight, chance alone
still goes beyond ±0.74 one time in twenty."""


def names_of(metric: Metric) -> dict[str, str]:
    """Names of values in JSON, by their names here: `valid_value` is `valid_perplexity` there."""
    ends = {"value": metric.name, "values": metric.plural}
    fields = (
        "valid_value",
        "dense_value",
        "dense_test_value",
        "test_value",
        "values",
        "dense_values",
        "rounded_value",
        "tuned_value",
    )
    return {
        name: f"{name.removesuffix(end)}{ends[end]}"
        for name in fields
        for end in [name.rpartition("_")[2]]
    }


def named(said: Any, metric: Metric) -> Any:
    """JSON whose values go by the metric's name, however deep they lie."""
    return _renamed(said, names_of(metric))


def unnamed(said: Any, metric: Metric) -> Any:
    """Undo `named`."""
    return _renamed(said, {new: old for old, new in names_of(metric).items()})


def _renamed(said: Any, names: Mapping[str, str]) -> Any:
    if isinstance(said, Mapping):
        return {
            names.get(key, key): value if key == "configuration" else _renamed(value, names)
            for key, value in said.items()
        }
    return [_renamed(item, names) for item in said] if isinstance(said, (list, tuple)) else said


@dataclass(frozen=True)
class CandidateResult:
    """One pruning configuration and how far it came.

    `distance` and its error are those of the last epoch at which candidates were judged;
    `valid_value` of the metric is the best of all its epochs, reached at `best_epoch`.
    """

    name: str
    configuration: Mapping[str, Any]
    state: CandidateState
    epochs: int
    distance: float | None
    distance_error: float | None
    distance_noise: float | None  # between halves of one model's own sequences
    valid_value: float | None
    best_epoch: int | None
    met_target: int | None  # first epoch at or below the dense target
    cause: str | None  # why it failed
    lost: float | None = (
        None  # directions of its spectrum below the resolution, mean over sequences
    )
    dense_lost: float | None = None  # of the dense spectrum that it was held against
    exponents: int | None = None  # of how many
    rests_on: int | None = None  # exponents that make up nine tenths of the squared differences

    @property
    def valid_perplexity(self) -> float | None:
        """Of language models: the value under the name that they tell it by."""
        return self.valid_value


@dataclass(frozen=True)
class Signal:
    """Spearman correlations over this run's survivors of the first round, with the cost last known.

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
    """A finalist that no other beats in both active weights and the metric (validation).

    Within a budget every finalist and the dense reference, the densest first, whose active weights are
    as many.
    """

    name: str
    active: int
    sparsity: float
    valid_value: float
    meets_target: bool

    @property
    def perplexity(self) -> float:
        """Of language models: the value under the name that they tell it by."""
        return self.valid_value


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run. Values are of its metric; counts are numbers of weights.

    In JSON, and as attributes, values go by the metric's own name: `test_perplexity`, `test_accuracy`.
    """

    title: str
    winner: str
    candidates: tuple[CandidateResult, ...]
    dense_value: float  # validation: the target
    dense_test_value: float | None  # None where a target alone was given
    test_value: float  # the winner's, read once
    active: int
    masked: int
    total: int
    dense_epochs: int
    search_epochs: int
    full_search_epochs: int
    signal: Signal
    overlooked: str | None = None  # went out better than the winner
    values: tuple[float, ...] = ()  # the winner's best, of each seed
    dense_values: tuple[float, ...] = ()
    margin: Margin | None = None  # between the two, over seeds
    saved_epochs: int = 0  # that stopping at the target spared
    arms: tuple[Arm, ...] = ()  # of a study, the dense network first
    metric: Metric = PERPLEXITY
    goal: Goal = "perplexity"
    frontier: tuple[
        FrontierPoint, ...
    ] = ()  # the smallest first; where size counts, or a budget is
    budget: BudgetVerdict | None = None  # where the recipe has one
    int8: Int8Verdict | None = None  # where finalists were trained on as int8
    folder: str = ""

    @property
    def best(self) -> CandidateResult:
        """The winning candidate."""
        return next(item for item in self.candidates if item.name == self.winner)

    @property
    def given(self) -> bool:
        """Whether the recipe gave the target alone, so that there is no dense network."""
        return self.dense_test_value is None

    @property
    def aim(self) -> str:
        """What `dense_value` is, in words: the dense target, or one that the recipe gave."""
        return "the given target" if self.given else "the dense target"

    @property
    def data(self) -> RunData:
        """All that the run's folder holds, as frames: curves, densities, spectra, candidates, trainings."""
        from hyperprune.judgement.frames import RunData

        return RunData(self.folder)

    def curves(self) -> pd.DataFrame:
        """A row a training and epoch (`RunData.curves`)."""
        return self.data.curves()

    def densities(self) -> pd.DataFrame:
        """A row a training, epoch and masked tensor (`RunData.densities`)."""
        return self.data.densities()

    def spectra(self) -> pd.DataFrame:
        """A row a training, epoch and exponent (`RunData.spectra`)."""
        return self.data.spectra()

    def candidates_frame(self) -> pd.DataFrame:
        """A row a candidate (`RunData.candidates`); `candidates` itself is their records."""
        return self.data.candidates()

    def _repr_html_(self) -> str:
        return notebook.as_html(self)

    def to_json(self) -> dict[str, Any]:
        """Everything but the folder: equal runs have equal records."""
        said = {key: value for key, value in asdict(self).items() if key != "folder"}
        if self.metric == PERPLEXITY:
            del said["metric"]
        for later in ("budget", "int8"):
            if said[later] is None:
                del said[later]
        found: dict[str, Any] = named(said, self.metric)
        return found

    def __getattr__(self, name: str) -> Any:
        own = {new: old for old, new in names_of(self.metric).items()} if name[:1] != "_" else {}
        if name in own:
            return getattr(self, own[name])
        raise AttributeError(f"a result told in {self.metric.words} has no {name!r}")

    @classmethod
    def from_json(cls, data: Any, folder: Path) -> RunResult:
        """Read what `to_json` wrote; raises RunError when it is something else."""
        try:
            metric = Metric(**data["metric"]) if data.get("metric") else PERPLEXITY
            content = json.dumps({**unnamed(data, metric), "folder": str(folder)})
            found = TypeAdapter(cls).validate_json(content, strict=True)
            _ = found.best
        except (AttributeError, TypeError, ValueError, StopIteration) as error:
            raise RunError(
                f"{folder / layout.RESULT} is damaged; without it, resuming finds the same result"
            ) from error
        return found
