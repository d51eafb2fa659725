"""Checks across the sections of a recipe: plugins exist, settings fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hyperprune.errors import PluginError
from hyperprune.plugins import registry
from hyperprune.plugins.parameters import check_options
from hyperprune.recipe.budget import check_budget
from hyperprune.recipe.problems import Problem
from hyperprune.recipe.records import CHOICES, PLUGIN_SECTIONS, Prune, Recipe
from hyperprune.recipe.reference import check_dense, check_objective
from hyperprune.recipe.sizes import check_sizes
from hyperprune.recipe.source import same_entry
from hyperprune.recipe.space import apply, resolve
from hyperprune.search.rounds import halving
from hyperprune.search.space import Space, Values
from hyperprune.terms.blocks import n_of_m


def check(recipe: Recipe) -> Iterator[Problem]:
    """Yield every mistake of a recipe whose sections are each valid."""
    unknown = list(check_plugins(recipe))
    yield from unknown
    contradictions = list(check_training(recipe))
    yield from contradictions
    yield from check_goal(recipe)
    yield from check_dense(recipe)
    if not unknown:
        yield from check_objective(recipe)
    space, problems = resolve(recipe)
    yield from check_rounds(recipe, None if problems else space.size)
    yield from problems
    if not problems and not unknown:
        yield from check_sizes(recipe, space)
        yield from check_blocks(recipe, space)
        yield from check_budget(recipe, space)
        if not (contradictions or recipe.arms):  # of arms each is checked as it will be
            yield from check_values(recipe, space)


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
    train, prune, spectrum = recipe.train, recipe.prune, recipe.spectrum
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
    if prune.initial_sparsity is not None and prune.initial_sparsity > prune.sparsity:
        yield Problem(
            "prune.initial_sparsity",
            f"found {prune.initial_sparsity}; gradual pruning starts at most as sparse as it ends, "
            f"at prune.sparsity, {prune.sparsity}",
            also=("prune.sparsity",),
        )
    elif prune.initial_sparsity not in (None, prune.sparsity) and not 0 < prune.stop < 1:
        yield Problem(
            "prune.stop",
            f"found {prune.stop}; gradual pruning (prune.initial_sparsity) ends before training "
            "does: more than 0, less than 1",
            also=("prune.initial_sparsity",),
        )
    yield from check_block(prune.block, prune)
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


def check_block(block: str, prune: Prune) -> Iterator[Problem]:
    """Yield a sparsity that n of m cannot have."""
    group = n_of_m(block)
    if group is None:
        return
    own = 1 - group[0] / group[1]
    if abs(prune.sparsity - own) > 1e-6:
        yield Problem(
            "prune.sparsity",
            f"found {prune.sparsity}; block {block!r} has sparsity {own:g}",
            also=("prune.block",),
        )
    if prune.initial_sparsity is not None:
        yield Problem(
            "prune.initial_sparsity",
            f"block {block!r} keeps its sparsity throughout; leave it out",
            also=("prune.block",),
        )


def check_goal(recipe: Recipe) -> Iterator[Problem]:
    """Yield what contradicts a search for a small network."""
    goal = recipe.search.goal
    if goal == "perplexity":
        return
    keys = [key.removeprefix("prune.") for key in recipe.space]
    if "sparsity" not in keys and not any(key.startswith("model.") for key in keys):
        yield Problem(
            "search.goal",
            f"found {goal!r}; every candidate has as many weights: list prune.sparsity in [space]",
            also=("space",),
        )
    if "exclude" in keys:
        yield Problem(
            "space.exclude",
            f"goal {goal!r} counts masked weights, so what is masked must be the same for all",
            also=("search.goal", "space.prune.exclude"),
        )
    if recipe.final.stop_at_target:
        yield Problem(
            "final.stop_at_target",
            f"goal {goal!r} looks beyond the first network that meets the target",
            also=("search.goal",),
        )


def check_blocks(recipe: Recipe, space: Space) -> Iterator[Problem]:
    """Yield blocks of n of m in a space whose candidates differ in sparsity too."""
    varying = {item.path: item.domain for item in space.dimensions}
    domain = varying.get("prune.block")
    groups = [name for name in domain.values if n_of_m(name)] if isinstance(domain, Values) else []
    if groups and "prune.sparsity" in varying:
        yield Problem(
            "space.prune.sparsity",
            f"block {groups[0]!r} has a sparsity of its own, so that prune.sparsity cannot vary",
            also=("space.sparsity", "prune.sparsity"),
        )


def check_values(recipe: Recipe, space: Space) -> Iterator[Problem]:
    """Yield values of a space that contradict the recipe, the first of each setting.

    Of two settings that vary both, other values may go together: that is left to the candidates.
    """
    paths = {item.path for item in space.dimensions}
    for path, domain in ((item.path, item.domain) for item in space.dimensions):
        written = next((key for key in recipe.space if same_entry(key, path)), path)
        for value in domain.values if isinstance(domain, Values) else (domain.low, domain.high):
            found = check_training(apply(recipe, {path: value}))
            own = [item for item in found if not (paths - {path}) & {item.path, *item.also}]
            if own:
                first = own[0]
                where = "" if first.path == path else f"with {value!r}: {first.path}: "
                also = (f"space.{path}", first.path, *first.also)
                yield Problem(f"space.{written}", where + first.message, also)
                break


def check_rounds(recipe: Recipe, configurations: int | None) -> Iterator[Problem]:
    """Yield rounds that judge too early or outgrow the budget.

    `configurations` is how many the space has, where that is known: no more are ever tried.
    """
    search, rounds, final, train = recipe.search, recipe.rounds, recipe.final, recipe.train
    if recipe.in_full:
        if final.stop_at_target:
            yield Problem(
                "final.stop_at_target",
                "a study trains every candidate to the full budget; expected false",
                also=("search.full",),
            )
        return
    if recipe.arms:
        configurations = len(recipe.arms)
    most = len(recipe.arms) or search.candidates
    if final.finalists > most:
        yield Problem(
            "final.finalists",
            f"found {final.finalists}; expected at most "
            f"{'as many as there are arms' if recipe.arms else 'search.candidates'}, {most}",
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
    asked = len(recipe.arms) or search.candidates
    candidates = min(asked, configurations or asked)
    reach = _rounds(recipe, candidates=candidates)
    if reach[-1][1] > train.epochs:
        yield Problem(
            "train.epochs",
            f"found {train.epochs}; the rounds alone reach epoch {reach[-1][1]} ({_listed(reach)}); "
            f"what would fit: {' or '.join(_fitting(recipe, candidates))}",
            also=("rounds", "rounds.first", "rounds.epochs", "rounds.keep", "search.candidates"),
        )


def _listed(rounds: tuple[tuple[int, int], ...]) -> str:
    shown = [f"{count} candidates to {epoch}" for count, epoch in rounds]
    return ", ".join(shown if len(shown) <= 6 else [*shown[:4], "…", shown[-1]])


def _rounds(recipe: Recipe, **changed: Any) -> tuple[tuple[int, int], ...]:
    """The rounds of a recipe with some of its settings changed."""
    steps = recipe.rounds
    plan = {
        "candidates": recipe.search.candidates,
        "first": steps.first,
        "epochs": steps.epochs,
        "keep": steps.keep,
        "finalists": recipe.final.finalists,
    } | changed
    return halving(**{**plan, "finalists": min(plan["finalists"], plan["candidates"])})


def _fitting(recipe: Recipe, candidates: int) -> Iterator[str]:
    """Settings of which each alone would make the rounds fit: least changed first."""

    def fits(**changed: Any) -> bool:
        plan = {"candidates": candidates} | changed
        return _rounds(recipe, **plan)[-1][1] <= recipe.train.epochs

    steps, finalists = recipe.rounds, recipe.final.finalists
    for count in range(candidates - 1, finalists - 1, -1):
        if fits(candidates=count):
            yield f"search.candidates = {count}"
            break
    for count in range(steps.epochs - 1, 0, -1):
        if fits(epochs=count):
            yield f"rounds.epochs = {count}"
            break
    least = 3 if recipe.prune.update == "epoch" else 1
    for count in range(steps.first - 1, least - 1, -1):
        if fits(first=count):
            yield f"rounds.first = {count}"
            break
    yield f"train.epochs = {_rounds(recipe, candidates=candidates)[-1][1]}"
