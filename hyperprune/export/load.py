"""Networks from where they were kept: a run's folder, or a file that was exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from hyperprune.corpus import Corpus
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import CorpusError, RunError
from hyperprune.export.about import About, makers_of
from hyperprune.export.network import TrainedNetwork
from hyperprune.judgement.result import RunResult
from hyperprune.plugins import in_use, use
from hyperprune.recipe import apply
from hyperprune.recipe.records import Recipe, Task
from hyperprune.sparsity.modules import canonical_names
from hyperprune.store import atomic, layout
from hyperprune.store.kept import kept_tensors, training_name
from hyperprune.store.reads import Reads, reads_of
from hyperprune.store.run import Run
from hyperprune.task import Cut
from hyperprune.training.build import build_model, load_task
from hyperprune.training.outcome import DENSE, comparable, int8_name, repeat_of
from hyperprune.training.trainer import copy_into

Plugins: TypeAlias = Sequence[str | Path]
"""Plugin files that are run."""


def load_winner(folder: Path | str, *, plugins: Plugins = ()) -> TrainedNetwork:
    """The winner of a finished run; raises RunError. The corpus need not be there.

    Where the run has code of its own, `plugins` names it: files are run only where they are named.
    """
    run = _open(folder, plugins)
    result = _result(run)
    if result is None:
        raise RunError(f"{run.folder} has no winner yet; `hyperprune resume {run.folder}` goes on")
    weights, _ = atomic.read_tensors(run.folder / layout.WINNER / layout.WEIGHTS)
    masks, _ = atomic.read_tensors(run.folder / layout.WINNER / layout.MASKS)
    return _with_int8(run, result, _network(run, result, result.winner, weights, masks))


def load_candidate(folder: Path | str, name: str, *, plugins: Plugins = ()) -> TrainedNetwork:
    """A candidate at its best epoch, such as `"c003"`; raises RunError where its weights are gone.

    `"c003-s2"` is its training from the second seed, `"c003-int8"` the one as int8, and in a study an arm's
    name does as well.
    """
    run = _open(folder, plugins)
    training, result = training_name(run, name), _result(run)
    return _with_int8(run, result, _network(run, result, training, *kept_tensors(run, training)))


def load_dense(folder: Path | str, *, plugins: Plugins = ()) -> TrainedNetwork:
    """The dense reference at its best epoch; raises RunError."""
    return load_candidate(folder, DENSE, plugins=plugins)


def assemble(
    about: About, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], where: object
) -> TrainedNetwork:
    """Build the network that a record describes around its weights, on the CPU.

    Raises PluginError where the model's plugin is missing, RunError where the weights are another
    network's, or not 0 where a mask says so.
    """
    about.check_plugins()
    _check_shapes(about, weights, where)
    model = _initial(about, torch.device("cpu"))
    own = dict(model.named_parameters())
    copy_into(own.items(), weights)
    # Masks leave wrappers out of their names.
    raw = {plain: name for name, plain in canonical_names(model).items()}
    masks = {raw.get(name, name): mask for name, mask in masks.items()}
    for name, mask in masks.items():
        if name not in own or mask.shape != own[name].shape:
            raise RunError(f"{where} has a mask for {name} that fits no weight")
        if own[name].detach()[~mask.bool()].any():
            raise RunError(f"{where}: {name} is not 0 where its mask says so")
    model.requires_grad_(True).eval()
    return TrainedNetwork(model, {name: mask.bool() for name, mask in masks.items()}, about)


def _initial(about: About, device: torch.device) -> nn.Module:
    """The network that a record describes, with its initial weights."""
    return build_model(about.recipe, about.size, device)


def _check_shapes(about: About, weights: Mapping[str, Tensor], where: object) -> None:
    """Raise RunError where weights are another network's, before one is made that fills the memory."""
    numbers = sum(tensor.numel() for tensor in weights.values())
    for option in ("layers", "depth"):  # so many would take for ever to make
        said = about.recipe.model.options.get(option)
        if isinstance(said, int) and said > numbers:
            raise RunError(
                f"{where} does not fit its model {about.recipe.model.name!r}: {option} is {said:,}, and "
                f"its weights are {numbers:,} numbers"
            )
    try:
        with torch.device("meta"):
            model = _initial(about, torch.device("meta"))
    except RuntimeError:  # a network of somebody's own that looks at its initial weights
        model = _initial(about, torch.device("cpu"))
    own = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(own.keys() | found.keys()):
        if own.get(name) != found.get(name):
            has, wants = found.get(name, "nothing"), own.get(name, "nothing")
            raise RunError(
                f"{where} does not fit its model {about.recipe.model.name!r}: {name} is {has}, "
                f"expected {wants}"
            )


def _open(folder: Path | str, plugins: Plugins) -> Run:
    path = Path(folder)
    if not path.is_dir():
        raise RunError(f"there is no run folder {path}")
    run = Run.open(path)
    if plugins:
        use(plugins)
    _check_code(run)
    return run


def _check_code(run: Run) -> None:
    """Raise RunError where a run has code of its own that nobody has named: a look runs nothing."""
    versions = run.made().made_with.get("plugins", {})
    for path in run.made().recipe.plugins:
        name = Path(path).name
        loaded = in_use().get(name)
        if loaded is None:
            raise RunError(
                f"{run.folder} has code of its own, {path}, which is run only where it is named: if "
                f"you trust it, say --plugin {path}, or plugins=[…] in Python"
            )
        if loaded != versions.get(name):
            raise RunError(
                f"{name} is another file than the one {run.folder} was made with; its own is {path}"
            )


def _result(run: Run) -> RunResult | None:
    path = run.folder / layout.RESULT
    return RunResult.from_json(atomic.read_json(path), run.folder) if path.exists() else None


def _network(
    run: Run,
    result: RunResult | None,
    name: str,
    weights: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
) -> TrainedNetwork:
    whole = run.made().recipe
    vocabulary, reads = _read_by(run, whole)
    first, _ = repeat_of(name)
    configuration = run.configuration(first)
    recipe = apply(whole, configuration)
    about = About(
        candidate=name,
        configuration=dict(configuration),
        recipe=recipe,
        vocabulary=vocabulary,
        reads=reads,
        makers=makers_of(recipe),
        active=sum(int(mask.sum()) for mask in masks.values()),
        masked=sum(mask.numel() for mask in masks.values()),
        total=sum(weight.numel() for weight in weights.values()),
        metric=run.metric,
        **_values(run, result, name),
    )
    return assemble(about, weights, masks, run.folder)


def _with_int8(run: Run, result: RunResult | None, network: TrainedNetwork) -> TrainedNetwork:
    """The network with its weights as they were trained on as int8, where these are the better ones."""
    name = network.about.candidate
    point = result.int8.point(name) if result is not None and result.int8 is not None else None
    if point is None or not point.tuned:
        return network
    kept = kept_tensors(run, int8_name(name))
    return replace(network, int8=_network(run, result, int8_name(name), *kept))


def _values(run: Run, result: RunResult | None, name: str) -> dict[str, Any]:
    """The values of the metric that go with a network."""

    def best(candidate: str) -> float | None:
        outcome = run.outcome(candidate)
        costs = [record.cost for record in comparable(outcome.epochs)] if outcome else []
        return run.metric.value(min(costs)) if costs else None

    found = {"valid_value": best(name), "dense_valid_value": best(DENSE)}
    if result is not None:
        found["dense_test_value"] = result.dense_test_value
        tested = {result.winner: result.test_value, DENSE: result.dense_test_value}
        point = result.int8.point(result.winner) if result.int8 is not None else None
        if result.int8 is not None and point is not None and point.tuned:
            tested[int8_name(result.winner)] = result.int8.test_value
        found["test_value"] = tested.get(name)
    return found


def _read_by(run: Run, recipe: Recipe) -> tuple[tuple[str, ...], Reads | None]:
    """The run's words, or what is read of sequences; a run of an older hyperprune needs its data."""
    words, reads = run.vocabulary(), run.reads()
    if words is not None or reads is not None:
        return words or (), reads
    wanted = layout.VOCABULARY if recipe.task == Task() else layout.SEQUENCES
    try:
        data = load_corpus(recipe.data)
    except CorpusError as error:
        raise RunError(f"{run.folder} has no {wanted}, and its data are absent: {error}") from error
    known = [fact["sha256"] for fact in run.journal.facts("corpus")]
    if known and known[0] != data.sha256:
        raise RunError(f"{run.folder} has no {wanted}, and the data here are others")
    if isinstance(data, Corpus):
        return data.vocabulary, None
    return (), reads_of(load_task(recipe), data, Cut(recipe.train.eval_batch, recipe.train.bptt))
