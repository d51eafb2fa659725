"""What goes with a network wherever it goes: its recipe, what it reads, how good it is, its makers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hyperprune.errors import PluginError, RunError
from hyperprune.model import Features
from hyperprune.plugins import is_file, registry
from hyperprune.recipe.records import Recipe, Task
from hyperprune.store.facts import first_of
from hyperprune.store.reads import Reads
from hyperprune.terms.metric import PERPLEXITY, Metric

Count = Annotated[int, Field(ge=0)]
Part: TypeAlias = Literal["model", "corpus", "task"]
VALUES = ("valid", "test", "dense_valid", "dense_test")
"""Whose values of the metric go with a network; in JSON by the metric's name: `test_perplexity`."""


class Maker(BaseModel):
    """The plugin that a part of a network comes from."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    package: str
    version: str


class About(BaseModel):
    """One network as a record; `recipe` is its own, with nothing left to vary.

    It reads words of the vocabulary or, where `reads` says so, sequences of numbers. Values are of the
    metric.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    candidate: str
    configuration: dict[str, Any]
    recipe: Recipe
    vocabulary: Annotated[tuple[str, ...], Field(strict=False)]
    reads: Reads | None = None
    makers: dict[Part, Maker]
    metric: Metric = PERPLEXITY
    valid_value: float | None = None
    test_value: float | None = None
    dense_valid_value: float | None = None
    dense_test_value: float | None = None
    active: Count = 0  # weights that are not masked
    masked: Count = 0  # entries of masked tensors
    total: Count = 0
    cut: dict[str, Count] = {}  # units that were cut out, by layer

    @model_validator(mode="before")
    @classmethod
    def _unnamed(cls, said: Any) -> Any:
        """Values by their names here."""
        if not isinstance(said, dict):
            return said
        metric = said.get("metric")
        name = metric.get("name") if isinstance(metric, dict) else getattr(metric, "name", None)
        ours = {f"{item}_{name or PERPLEXITY.name}": f"{item}_value" for item in VALUES}
        return {ours.get(key, key): value for key, value in said.items()}

    @model_validator(mode="after")
    def _reads_something(self) -> About:
        if not self.vocabulary and self.reads is None:
            raise ValueError("it says neither which words its network reads nor which features")
        if self.metric == PERPLEXITY and any(
            value is not None and value <= 0 for value in self.values.values()
        ):
            raise ValueError("a perplexity is greater than 0")
        return self

    @property
    def values(self) -> dict[str, float | None]:
        """The values of the metric, by the names that they have in JSON."""
        return {f"{item}_{self.metric.name}": getattr(self, f"{item}_value") for item in VALUES}

    @property
    def size(self) -> int | Features:
        """What the network was built for."""
        return len(self.vocabulary) if self.reads is None else self.reads.size

    @property
    def language(self) -> bool:
        """Whether the network foretells the words of a text."""
        return self.reads is None and self.recipe.task == Task()

    def sequences(self) -> Reads:
        """What is read, where it is sequences; raises RunError where it is a text."""
        if self.reads is None:
            raise RunError(f"{self.candidate} reads a text, not sequences of numbers")
        return self.reads

    def text(self) -> None:
        """Raise RunError where the network is none that foretells words."""
        if not self.language:
            raise RunError(
                f"{self.candidate} is a network of task {self.recipe.task.name!r}: it foretells no words"
            )

    def check_plugins(self, kinds: Sequence[Part] = ("model", "corpus", "task")) -> None:
        """Raise PluginError naming the package to install where one of the makers is missing."""
        for kind, maker in self.makers.items():
            if kind not in kinds:
                continue
            if maker.name not in registry().names(kind):
                if is_file(maker.package):
                    raise PluginError(
                        f"this network needs {kind} {maker.name!r} of the file {maker.package} "
                        f"({maker.version}…), which is run only where it is named: --plugin "
                        f"{maker.package}, or plugins=[…] in Python"
                    )
                raise PluginError(
                    f"this network needs {kind} {maker.name!r} of {maker.package} {maker.version}, "
                    f"which is not installed; pip install {maker.package}"
                )

    @property
    def travelling(self) -> Recipe:
        """The recipe without paths of this machine: no root, and of plugin files the names."""
        data = self.recipe.data.model_copy(update={"root": None})
        files = tuple(Path(path).name for path in self.recipe.plugins)
        return self.recipe.model_copy(update={"data": data, "plugins": files})

    def portable(self) -> str:
        """The record as JSON to travel in a file: no path of the machine that it leaves."""
        said = self.model_copy(update={"recipe": self.travelling}).model_dump(mode="json")
        said |= {
            new: said.pop(f"{item}_value") for item, new in zip(VALUES, self.values, strict=True)
        }
        if self.metric == PERPLEXITY:
            del said["metric"]
        if self.reads is None:
            del said["reads"]
        return json.dumps(said, sort_keys=True, allow_nan=False)


def makers_of(recipe: Recipe) -> dict[Part, Maker]:
    """Packages and versions that a network of this recipe depends on; raises PluginError."""
    parts: dict[Part, str] = {"model": recipe.model.name, "corpus": recipe.data.corpus}
    if recipe.task != Task():
        parts["task"] = recipe.task.name
    found = {kind: registry().get(kind, name) for kind, name in parts.items()}
    return {
        kind: Maker(name=item.name, package=item.package, version=item.version)
        for kind, item in found.items()
    }


def read_about(text: Any, where: object) -> About:
    """Hold what a file says of its network against the format; raises RunError."""
    try:
        if not isinstance(text, str):
            raise ValueError("it does not say which network it holds")
        return About.model_validate_json(text)
    except ValueError as error:
        raise RunError(
            f"{where} is no network that hyperprune exported: {first_of(error)}"
        ) from error
