"""The whole extension contract: one hook a kind, each answering `{name: callable}`.

One rule holds for every callable. **Positional parameters are given by hyperprune; keyword-only
parameters belong to the user**: their names, types, defaults and ranges (`Annotated[float,
Field(ge=0)]`) are read from the signature, so recipes validate them and search spaces can name
them. The docstring's first line is the help. A hook runs when a command needs its kind of thing;
keep module imports light, and import torch inside the callable where you can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import pluggy

API_VERSION = 1
"""Raised when a hook or a signature below changes in a way that old plugins would notice."""

GROUP = "hyperprune"
"""The group of entry points under which packages register plugins."""
HOOKS = {
    "model": "hyperprune_models",
    "corpus": "hyperprune_corpora",
    "task": "hyperprune_tasks",
    "init": "hyperprune_inits",
    "removal": "hyperprune_removals",
    "growth": "hyperprune_growths",
    "redistribution": "hyperprune_redistributions",
    "schedule": "hyperprune_schedules",
    "preset": "hyperprune_presets",
    "distance": "hyperprune_distances",
    "objective": "hyperprune_objectives",
    "searcher": "hyperprune_searchers",
    "executor": "hyperprune_executors",
    "observer": "hyperprune_observers",
}
"""The hook of each kind."""
KINDS = tuple(HOOKS)

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

Contributions = Mapping[str, Callable[..., Any]]

Control = TypeVar("Control", bound=Callable[..., Any])
Contribution = TypeVar("Contribution", bound=Callable[..., Any])


def control(
    *, counts: Literal["tensor", "network", "threshold"] = "tensor", averages: bool = False
) -> Callable[[Control], Control]:
    """Declare what a sparse-training control needs beyond the common case.

    `counts` says how many weights a removal takes: a share of each tensor; the same share of the
    whole network, ranked together; or all with a salience up to a threshold that adapts itself.
    `averages` asks the engine to keep the averages of dense gradients that `view.average` reads.
    """

    def declare(function: Control) -> Control:
        function.__dict__.update(counts=counts, averages=averages)
        return function

    return declare


def needs(*what: Literal["distances", "dense"]) -> Callable[[Contribution], Contribution]:
    """Declare what an objective cannot do without.

    `distances` to the dense reference's spectra, or the `dense` reference's own course. A recipe whose
    dense reference is no more than a target is refused such an objective.
    """

    def declare(target: Contribution) -> Contribution:
        target.__dict__["needs"] = what
        return target

    return declare


def compares(*, widths: bool, layers: bool = False) -> Callable[[Contribution], Contribution]:
    """Declare whether a distance compares networks of different widths, or numbers of layers.

    Without it a distance counts as one that does not: a recipe whose space varies the size of the
    network is refused, with the names of the distances that would do.
    """

    def declare(function: Contribution) -> Contribution:
        function.__dict__["compares"] = {
            kind for kind, able in (("widths", widths), ("layers", layers)) if able
        }
        return function

    return declare


def reads_features(build: Contribution) -> Contribution:
    """Declare that a model's builder also takes `hyperprune.model.Features` for its vocabulary.

    The network then reads inputs (T, B, F) and answers with outputs (T, B, O), for tasks on sequences
    of numbers. Without it such a task is refused, with the names of the models that would do.
    """
    build.__dict__["features"] = True
    return build


def example(**options: Any) -> Callable[[Contribution], Contribution]:
    """Declare options under which the conformance suite tries a thing that its defaults do not suit.

    Small sizes of a model that takes minutes to build, or a value for what has no default.
    """

    def declare(target: Contribution) -> Contribution:
        target.__dict__["example"] = options
        return target

    return declare


def reads(
    words: Callable[..., list[str]], *, between: str = " "
) -> Callable[[Contribution], Contribution]:
    """Declare how a corpus turns any text into words, so that its networks can read and write.

    `words(text, options)` lists the words as the corpus would, `<eos>` included; `options` are the
    recipe's. A third parameter, `vocabulary`, is given the words of the ids, as the run keeps them.
    `between` joins words to a text. Without this, blanks part words and `<eos>` ends a line.
    """

    def declare(load: Contribution) -> Contribution:
        load.__dict__.update(words=words, between=between)
        return load

    return declare


class Hooks:
    """Every hook, its arguments and what it must return."""

    @hookspec
    def hyperprune_models(self) -> Contributions:  # type: ignore[empty-body]
        """Recurrent networks: `build(vocabulary: int, *, …) -> nn.Module` (see `hyperprune.model`).

        `@reads_features` says that it also takes `hyperprune.model.Features`.
        """

    @hookspec
    def hyperprune_corpora(self) -> Contributions:  # type: ignore[empty-body]
        """Texts and sequences: `load(root: Path | None, *, …) -> Corpus | Sequences`.

        See `hyperprune.corpus`.
        """

    @hookspec
    def hyperprune_tasks(self) -> Contributions:  # type: ignore[empty-body]
        """Tasks: `make(data: Corpus | Sequences, *, …) -> Task` (see `hyperprune.task`)."""

    @hookspec
    def hyperprune_inits(self) -> Contributions:  # type: ignore[empty-body]
        """Sparse initialisations: `share(view, *, …) -> float | list | Tensor`, a tensor's weight
        in sharing out active entries, or those of its equal blocks of rows, or a salience."""

    @hookspec
    def hyperprune_removals(self) -> Contributions:  # type: ignore[empty-body]
        """Removal controls: `salience(view, *, …) -> Tensor`; the lowest active entries go."""

    @hookspec
    def hyperprune_growths(self) -> Contributions:  # type: ignore[empty-body]
        """Growth controls: `salience(view, *, …) -> Tensor`; the highest inactive entries come."""

    @hookspec
    def hyperprune_redistributions(self) -> Contributions:  # type: ignore[empty-body]
        """Redistribution: `share(view, *, …) -> float`, a tensor's weight in sharing out growth."""

    @hookspec
    def hyperprune_schedules(self) -> Contributions:  # type: ignore[empty-body]
        """Removal rates: `rate(progress, start, *, …) -> float`, all three in [0, 1]."""

    @hookspec
    def hyperprune_presets(self) -> Contributions:  # type: ignore[empty-body]
        """Named methods: `expand() -> dict` of `[prune]` keys, which a recipe may still override."""

    @hookspec
    def hyperprune_distances(self) -> Contributions:  # type: ignore[empty-body]
        """Distances: `distance(candidate, reference, *, …) -> float ≥ 0` of two spectra.

        `@compares(widths=True)` says that it compares spectra of different lengths.
        """

    @hookspec
    def hyperprune_objectives(self) -> Contributions:  # type: ignore[empty-body]
        """Objectives: `score(compared, *, …) -> list`, what a search minimises early, one a candidate."""

    @hookspec
    def hyperprune_searchers(self) -> Contributions:  # type: ignore[empty-body]
        """Searchers: `suggest(space, history, pending, seed, *, …) -> Configuration`, a pure function.

        Its attribute `prepare()`, where there is one, is called while the first candidates train.
        """

    @hookspec
    def hyperprune_executors(self) -> Contributions:  # type: ignore[empty-body]
        """Executors: `open(crew, *, …) -> Executor`, where candidates train (see `hyperprune.execution`).

        Its attribute `fit(asked, *, …) -> (workers, threads)`, where there is one, is asked before a
        run begins; `prepare(workers, *, …)`, before that, begins with what takes long to start;
        `about() -> str` tells `hyperprune doctor` what there is to work with.
        """

    @hookspec
    def hyperprune_observers(self) -> Contributions:  # type: ignore[empty-body]
        """Observers: `observe(folder: Path, *, …) -> Callable[[Event], None]`, told of every event."""
