"""What a journal and a run.json may say; anything else is damage or tampering."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from hyperprune.errors import RunError
from hyperprune.recipe.records import Recipe
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.training.outcome import DENSE, EpochRecord, Failure, is_further, repeat_of

FORMAT = 1

CODE = re.compile(r"plugins/[A-Za-z_][A-Za-z0-9_]*\.py", re.ASCII)
"""Where a run keeps its own code."""

LARGEST_LOSS = 700.0
"""Of what is told by its exp, and of exponents: exp of more overflows, and training counts as diverged
long before."""

Candidate = Annotated[str, Field(pattern=r"^c[0-9]{3,5}$")]
"""Names of candidates are names of folders: nothing that leads elsewhere is one."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Training = Annotated[str, Field(pattern=r"^(c[0-9]{3,5}|dense)(-s[0-9]{1,3}|-int8)?$")]
"""Names of trainings: a candidate's, the dense reference's, a repetition from another seed, or as int8."""


class CorpusFact(_Strict):
    """The data of a run, and what its results are told in where that is not perplexity."""

    fact: Literal["corpus"]
    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    metric: Metric | None = None


class ProposedFact(_Strict):
    """A configuration that the searcher chose."""

    fact: Literal["proposed"]
    candidate: Candidate
    configuration: dict[str, Any]


class TrainedFact(_Strict):
    """What a training came to since it was last told of."""

    fact: Literal["trained"]
    candidate: Training
    epochs: list[EpochRecord]
    failure: Failure | None
    until: int | None = None  # of a study's trial that failed: the epoch its turn was to reach


class EndedFact(_Strict):
    """The run is over without a result."""

    fact: Literal["ended"]
    cause: str


AnyFact: TypeAlias = CorpusFact | ProposedFact | TrainedFact | EndedFact
Fact: TypeAlias = Annotated[AnyFact, Field(discriminator="fact")]


class RunRecord(_Strict):
    """run.json: the recipe as it was, and what the run was made with."""

    format: Literal[1]
    recipe: Recipe
    made_with: dict[str, Any]

    @field_validator("recipe")
    @classmethod
    def _own_code(cls, recipe: Recipe) -> Recipe:
        """Plugin files are the run's own copies: nothing that leads elsewhere is one."""
        if strange := [name for name in recipe.plugins if not CODE.fullmatch(name)]:
            raise ValueError(f"a plugin file {strange[0]!r} outside the run")
        return recipe


_fact: TypeAdapter[AnyFact] = TypeAdapter(Fact)
_epochs: TypeAdapter[list[EpochRecord]] = TypeAdapter(list[EpochRecord])


def check_facts(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Hold a journal against what a run writes, in the order it writes it; raises RunError."""
    epochs: dict[str, int] = {DENSE: 0}
    repeated: dict[str, int] = {}
    metric = PERPLEXITY
    for number, record in enumerate(records, start=1):
        try:
            fact = _fact.validate_json(json.dumps(record), strict=True)
            if isinstance(fact, CorpusFact):
                metric = fact.metric or PERPLEXITY
            elif isinstance(fact, ProposedFact):
                _expect(fact.candidate == f"c{len(epochs) - 1:03d}", "a candidate out of order")
                epochs[fact.candidate] = 0
            elif isinstance(fact, TrainedFact):
                base = repeat_of(fact.candidate)[0]
                _expect(base in epochs, "a candidate that was never proposed")
                counts = repeated if is_further(fact.candidate) else epochs
                check_epochs(fact.epochs, counts.setdefault(fact.candidate, 0), metric)
                counts[fact.candidate] += len(fact.epochs)
        except ValueError as error:
            raise RunError(f"{path} is damaged at line {number}: {first_of(error)}") from error


def read_epochs(value: Any, metric: Metric) -> list[EpochRecord]:
    """Epochs of a training from JSON, in order; raises ValueError."""
    records = _epochs.validate_json(json.dumps(value), strict=True)
    check_epochs(records, 0, metric)
    return records


def check_epochs(records: Sequence[EpochRecord], after: int, metric: Metric) -> None:
    """Raise ValueError unless the records are epochs in a row, with losses that the metric can tell."""
    for epoch, record in enumerate(records, start=after + 1):
        _expect(record.epoch == epoch, f"epoch {record.epoch} where {epoch} comes next")
        losses = (record.train_loss, record.valid_loss, record.cost) if metric.of == "exp" else ()
        for value in (*losses, record.largest):
            found = f"a loss or an exponent of {value}"
            _expect(value is None or abs(value) <= LARGEST_LOSS, found)


def read_run_record(value: Any, path: Path) -> RunRecord:
    """Hold run.json against its format; raises RunError."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else None
        raise RunError(f"{path} has format {found!r}; this hyperprune reads {FORMAT}")
    try:
        return RunRecord.model_validate_json(json.dumps(value))
    except ValueError as error:
        raise RunError(f"{path} is damaged: {first_of(error)}") from error


def read_vocabulary(value: Any, path: Path) -> tuple[str, ...]:
    """Hold vocabulary.json against its format: words, each once; raises RunError."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise RunError(f"{path} is damaged: it is no list of words")
    if not value or len(set(value)) != len(value):
        raise RunError(f"{path} is damaged: it is empty, or has a word twice")
    return tuple(value)


def first_of(error: ValueError) -> str:
    """One line of what is wrong."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _expect(fine: bool, found: str) -> None:
    if not fine:
        raise ValueError(f"found {found}")
