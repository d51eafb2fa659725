"""What goes with a network wherever it goes: its recipe, words, perplexities and makers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hyperprune.errors import PluginError, RunError
from hyperprune.plugins import is_file, registry
from hyperprune.recipe.records import Recipe
from hyperprune.store.facts import first_of

Count = Annotated[int, Field(ge=0)]
Perplexity = Annotated[float, Field(gt=0)]


class Maker(BaseModel):
    """The plugin that a part of a network comes from."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    package: str
    version: str


class About(BaseModel):
    """One network as a record; `recipe` is its own, with nothing left to vary."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    candidate: str
    configuration: dict[str, Any]
    recipe: Recipe
    vocabulary: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    makers: dict[Literal["model", "corpus"], Maker]
    valid_perplexity: Perplexity | None = None
    test_perplexity: Perplexity | None = None
    dense_valid_perplexity: Perplexity | None = None
    dense_test_perplexity: Perplexity | None = None
    active: Count = 0  # weights that are not masked
    masked: Count = 0  # entries of masked tensors
    total: Count = 0
    cut: dict[str, Count] = {}  # units that were cut out, by layer

    def check_plugins(self) -> None:
        """Raise PluginError naming the package to install where one of the makers is missing."""
        for kind, maker in self.makers.items():
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

    def portable(self) -> str:
        """The record as JSON to travel in a file: no path of the machine that it leaves."""
        data = self.recipe.data.model_copy(update={"root": None})
        recipe = self.recipe.model_copy(update={"data": data})
        said = self.model_copy(update={"recipe": recipe}).model_dump(mode="json")
        return json.dumps(said, sort_keys=True, allow_nan=False)


def makers_of(recipe: Recipe) -> dict[Literal["model", "corpus"], Maker]:
    """Packages and versions that a network of this recipe depends on; raises PluginError."""
    parts: Mapping[Literal["model", "corpus"], str] = {
        "model": recipe.model.name,
        "corpus": recipe.data.corpus,
    }
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
