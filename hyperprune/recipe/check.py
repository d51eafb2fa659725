"""What records cannot say each by itself: plugins that exist, settings that fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hyperprune.errors import PluginError
from hyperprune.plugins import registry
from hyperprune.plugins.parameters import check_options
from hyperprune.recipe.problems import Problem
from hyperprune.recipe.records import CHOICES, PLUGIN_SECTIONS, Recipe
from hyperprune.recipe.space import resolve
from hyperprune.search.rounds import halving


def check(recipe: Recipe) -> Iterator[Problem]:
    """Yield every mistake of a recipe whose records are right each by itself."""
    yield from check_plugins(recipe)
    yield from check_training(recipe)
    yield from check_rounds(recipe)
    yield from resolve(recipe)[1]


def check_plugins(recipe: Recipe) -> Iterator[Problem]:
    """Yield plugins that nothing provides, and options that they do not take."""
    for section, (key, kind) in PLUGIN_SECTIONS.items():
        record = getattr(recipe, section)
        named = f"{section}.{key}"
        yield from _check_plugin(kind, getattr(record, key), record.options, named, section)
    for section, kinds in CHOICES.items():
        for kind in kinds:
            choice = getattr(getattr(recipe, section), kind)
            path = f"{section}.{kind}"
            yield from _check_plugin(kind, choice.name, choice.options, path, path)


def _check_plugin(
    kind: str, name: str, options: Mapping[str, Any], named: str, prefix: str
) -> Iterator[Problem]:
    try:
        contribution = registry().get(kind, name)
    except PluginError as error:
        yield Problem(named, str(error), also=(prefix,))
        return
    for key, message in check_options(contribution.target, options)[1]:
        yield Problem(f"{prefix}.{key}", f"{message} ({kind} {name})", also=(named, prefix))


def check_training(recipe: Recipe) -> Iterator[Problem]:
    """Yield settings of training and measuring that contradict each other."""
    train, spectrum = recipe.train, recipe.spectrum
    if train.micro_batch > train.batch:
        yield Problem(
            "train.micro_batch",
            f"found {train.micro_batch}; expected at most train.batch, {train.batch}",
            also=("train.batch",),
        )
    if train.max_bptt and train.max_bptt < train.bptt:
        yield Problem(
            "train.max_bptt",
            f"found {train.max_bptt}; expected at least train.bptt, {train.bptt}, or 0",
            also=("train.bptt",),
        )
    if train.warmup >= train.epochs:
        yield Problem(
            "train.warmup",
            f"found {train.warmup}; expected less than train.epochs, {train.epochs}",
            also=("train.epochs",),
        )
    if spectrum.protocol == "published" and spectrum.state != "hidden":
        yield Problem(
            "spectrum.state",
            f"found {spectrum.state!r}; the published protocol is defined for 'hidden'",
            also=("spectrum.protocol",),
        )
    if spectrum.dtype == "float32":  # still readable in runs of 0.1
        yield Problem(
            "spectrum.dtype",
            "found 'float32'; expected 'float64': in single precision resolved exponents of sparse "
            "networks are off by up to 2 nats a step",
        )


def check_rounds(recipe: Recipe) -> Iterator[Problem]:
    """Yield rounds that judge too early or outgrow the budget."""
    search, rounds, final, train = recipe.search, recipe.rounds, recipe.final, recipe.train
    if final.finalists > search.candidates:
        yield Problem(
            "final.finalists",
            f"found {final.finalists}; expected at most search.candidates, {search.candidates}",
            also=("search.candidates",),
        )
    if final.stop_at_target and final.seeds > 1:
        yield Problem(
            "final.seeds",
            f"found {final.seeds}; expected 1: a run that ends with the first network to meet the "
            "target trains no other seeds",
            also=("final.stop_at_target",),
        )
    if recipe.prune.update == "epoch" and rounds.first < 3:
        yield Problem(
            "rounds.first",
            f"found {rounds.first}; expected at least 3: the topology changes after each epoch, "
            "and candidates are first compared when two changes lie behind them",
            also=("prune.update",),
        )
    reach = halving(search.candidates, rounds.first, rounds.epochs, rounds.keep, final.finalists)
    if reach[-1][1] > train.epochs:
        yield Problem(
            "train.epochs",
            f"found {train.epochs}; the rounds alone reach epoch {reach[-1][1]} "
            f"({', '.join(f'{count} candidates to {epoch}' for count, epoch in reach)})",
            also=("rounds", "rounds.first", "rounds.epochs", "rounds.keep", "search.candidates"),
        )
