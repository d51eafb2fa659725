"""`hyperprune.search`: a run of networks and data that are given in Python."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.corpus.given import arrays_of
from hyperprune.errors import CorpusError, PluginError, RunError
from hyperprune.events import Observer
from hyperprune.export import load_winner
from hyperprune.judgement.result import RunResult
from hyperprune.pipeline.changes import may_change
from hyperprune.pipeline.run import resume, run
from hyperprune.plugins import read_file, use
from hyperprune.plugins.defaults import GIVEN
from hyperprune.recipe.document import domain_of, from_document
from hyperprune.recipe.records import Recipe
from hyperprune.sources.data import keep
from hyperprune.sources.network import Given, answers_once, trained_buffers
from hyperprune.sources.where import Where, hold, where
from hyperprune.store import atomic
from hyperprune.store.layout import MADE
from hyperprune.store.run import Run
from hyperprune.training.build import build_model, load_task

NAME = "given"
"""What the plugin file, and the model and the task in it, go by."""
TRAINING = {"optimizer": "adam", "lr": 0.001, "batch": 32, "eval_batch": 128, "clip": 1.0}
"""How networks are trained where nothing is said: what most people would begin with."""
BURN_IN, STEPS, SEQUENCES = 10, 35, 32
"""What spectra are measured over at most, where nothing is said."""
Section = Mapping[str, Any] | None


def search(
    build: Callable[..., nn.Module],
    train: Any,
    valid: Any,
    test: Any = None,
    *,
    task: str,
    epochs: int,
    sparsity: float | None = None,
    space: Section = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    metric: Callable[[Tensor, Tensor], Tensor] | None = None,
    model: Section = None,
    training: Section = None,
    prune: Section = None,
    spectrum: Section = None,
    search: Section = None,
    rounds: Section = None,
    final: Section = None,
    seed: int = 1,
    title: str = "",
    folder: Path | str | None = None,
    observers: Sequence[Observer] = (),
) -> RunResult:
    """Search over a network and data of your own; called again on its folder, go on, or answer.

    build: a function or class that makes the network: x (B, T, F) to outputs (B, O), or (B, T, O) at every
        step. At the top level of a file every process finds it again; a lambda, or what stands elsewhere, is
        trained in this process alone, and the run goes on only when called from here. Its parameters are the
        recipe's section `model`, and may vary (`model.hidden`).
    train, valid, test: (x, y), a data set of such pairs, or arrays by name, as files have them ("x", "y",
        "lengths"); x: (N, T, F) or a list of sequences (T, F). They are kept as arrays in the cache. Without
        a test split its place is taken by the validation split.
    task: a task of sequences by name (`hyperprune plugins` lists them). loss, metric: functions of your own
        at the top level of a file, (outputs (n, O), targets (n, …)) to (n,), of which less is better.
    space, model, training, prune, spectrum, search, rounds, final: sections of a recipe; `training` is its
        `train`, by default Adam with a rate of 0.001. In `space` a list is a choice, `(low, high)` and
        `(low, high, "log")` are ranges.
    folder: of the run; `runs/<title>-<time>` unless given, which no later call finds again.

    Raises RecipeError, CorpusError and PluginError for what is given wrongly, before there is a folder;
    RunError where the folder holds another run; and what `hyperprune.run` raises.
    """
    splits = {"train": arrays_of(train, "train"), "valid": arrays_of(valid, "valid")}
    splits["test"] = splits["valid"] if test is None else arrays_of(test, "test")
    stands, here = _stand({"build": build, "loss": loss, "metric": metric}, search or {})
    data = keep(splits)
    code = _plugin(data, build, task, stands)
    use([code], anew=True)  # who stands there now may be another than in the last call
    own = loss is not None or metric is not None
    document: dict[str, Any] = {
        "title": title,
        "seed": seed,
        "plugins": [str(code)],
        "data": {"corpus": GIVEN["corpus"], "root": str(data), "scale": False},
        "task": {"name": NAME if own else task},
        "model": {"name": NAME, **(model or {})},
        "train": {**TRAINING, **(training or {}), "epochs": epochs},
        "space": {key: domain_of(key, value) for key, value in (space or {}).items()},
        "prune": {**(prune or {}), **({} if sparsity is None else {"sparsity": sparsity})},
        "spectrum": {**_measured(splits["valid"]), **(spectrum or {})},
        "search": {**(search or {}), **({"executor": GIVEN["executor"]} if here else {})},
        "rounds": rounds or {},
        "final": final or {},
    }
    recipe = from_document(document)
    known = None if folder is None else Path(folder)
    if known is not None and (known / MADE).exists():
        _check_same(known, recipe, code)
        return resume(known, observers=observers)
    _try(recipe, splits)
    return run(recipe, folder=known, observers=observers)


def load_network(folder: Path | str, *, plugins: Sequence[str | Path] = ()) -> nn.Module:
    """The winner's network with its best weights, in evaluation mode, whatever its task.

    Of a run that `search` made it is the very network that `build` makes; where the run has code of its
    own, `plugins` names it (the file in its folder `plugins`). Raises RunError where there is no winner.
    """
    network = load_winner(folder, plugins=plugins).model
    return network.net if isinstance(network, Given) else network


def _stand(
    given: Mapping[str, Any], said: Mapping[str, Any]
) -> tuple[dict[str, Where | None], bool]:
    """Where what was given stands, and whether some of it is found by this process alone.

    Raises PluginError for such where it would be another process that works, and for what has no name to
    tell results in.
    """
    executor = said.get("executor", GIVEN["executor"])
    executor = executor.get("name") if isinstance(executor, Mapping) else executor
    alone = executor == GIVEN["executor"] and said.get("workers", 1) == 1
    found: dict[str, Where | None] = {}
    here = False
    for what, thing in given.items():
        try:
            found[what] = None if thing is None and what != "build" else where(thing, what)
        except PluginError:
            if not alone or not hasattr(thing, "__qualname__") or not callable(thing):
                raise
            if what != "build" and not thing.__name__.isidentifier():
                raise  # results are told in its name
            found[what], here = hold(thing), True
    return found, here


def _plugin(folder: Path, build: Any, task: str, stands: Mapping[str, Where | None]) -> Path:
    """Write the plugin file that says where the network, and losses of one's own, stand."""
    assert stands["build"] is not None
    network = astuple(stands["build"])
    lines = [
        '"""What hyperprune.search was given: where it stands, and the hash of that file."""',
        f"# build: {build.__name__}{inspect.signature(build)}",
        "",
        "from hyperprune import hookimpl, sources",
        "",
        "",
        "@hookimpl",
        "def hyperprune_models():",
        f"    return {{{NAME!r}: sources.builder(*{network!r})}}",
    ]
    if stands["loss"] is not None or stands["metric"] is not None:
        own = (stands["loss"], stands["metric"])
        said = [None if function is None else astuple(function) for function in own]
        lines += [
            "",
            "",
            "@hookimpl",
            "def hyperprune_tasks():",
            f"    return {{{NAME!r}: sources.task_of({task!r}, *{said!r})}}",
        ]
    text = "\n".join(lines) + "\n"
    found = hashlib.sha256(text.encode()).hexdigest()
    path = folder / found[:16] / f"{NAME}.py"  # another search on these data has another
    atomic.write_text(path, text)
    return path


def _measured(valid: Mapping[str, Tensor]) -> dict[str, int]:
    """What spectra are measured over: as many of the validation sequences' steps as there are, to a bound."""
    lengths = valid.get("lengths")
    steps = int(lengths.min()) if lengths is not None else valid["x"].shape[1]
    count = len(lengths) if lengths is not None else len(valid["x"])
    burn_in = min(BURN_IN, steps // 4)
    return {
        "burn_in": burn_in,
        "steps": max(1, min(STEPS, steps - burn_in)),
        "sequences": min(SEQUENCES, count),
    }


def _try(recipe: Recipe, splits: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Raise CorpusError where sequences of a split differ in length and the network answers once for each.

    It would read what they are padded with. Raises PluginError for a network of which more than weights is
    trained: a run keeps weights, and the best ones would go with buffers of another epoch.
    """
    network = build_model(recipe, load_task(recipe).size, torch.device("cpu"))
    if not isinstance(network, Given):
        return
    train = splits["train"]
    steps = int(train["lengths"][0]) if "lengths" in train else train["x"].shape[1]
    first = train["x"].flatten(0, -2)[:steps][None]  # (1, T, F)
    if moving := trained_buffers(network, first.expand(2, -1, -1)):
        raise PluginError(
            f"build: training changes the buffer {moving[0]!r}, as of a batch normalisation, and a run keeps "
            "weights alone; take nn.LayerNorm, or track_running_stats=False"
        )
    ragged = [
        name for name, own in splits.items() if len(set(own.get("lengths", Tensor()).tolist())) > 1
    ]
    if ragged and answers_once(network.eval(), first):
        raise CorpusError(
            f"{ragged[0]}: sequences have different lengths, and the network answers once for each, after "
            "what they are padded with; let it answer at every step, (B, T, O): the last of each counts"
        )


def _check_same(folder: Path, recipe: Recipe, code: Path) -> None:
    """Raise RunError where a folder holds a run of something else."""
    made = Run.open(folder).made()
    then, now = (item.model_dump(mode="json") for item in (made.recipe, recipe))
    versions = made.made_with.get("plugins", {})
    if Path(made.recipe.data.root or "").name != Path(recipe.data.root or "").name:
        raise RunError(
            f"{folder} holds a run of other data (train, valid or test); take another folder"
        )
    if versions.get(code.name) != read_file(code).version:
        raise RunError(
            f"{folder} holds a run of another network, loss or metric, or the file in which they stand, or a "
            "value that they read, has changed since; change it back, or take another folder"
        )
    for section, key, value in _fixed(now):
        was = then.get(section)
        was = was.get(key) if key and isinstance(was, dict) else was
        if was != value and not (
            key == "precision" and value == "auto"
        ):  # which a run decides once
            what = f"{section}.{key}" if key else section
            raise RunError(
                f"{folder} holds a run with another {what}: {str(was)[:200]} there, "
                f"{str(value)[:200]} here; take another folder"
            )


def _fixed(said: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Section, key and value of what makes a run the experiment that it is."""
    for section, value in said.items():
        if section in ("plugins", "data") or may_change(section):
            continue
        if section == "space" or not isinstance(value, dict):
            yield section, "", value
            continue
        for key, own in value.items():
            if not may_change(f"{section}.{key}"):
                yield section, key, own
