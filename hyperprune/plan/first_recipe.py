"""The text of a first recipe: commented TOML by the rules of docs/settings.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hyperprune.plan.own_data import Found, data_lines
from hyperprune.plugins import registry
from hyperprune.plugins.defaults import FEW_WEIGHTS, INIT_SCALE, SPACE, SPARSE
from hyperprune.recipe.write import inline
from hyperprune.terms.duration import duration


@dataclass(frozen=True)
class Wish:
    """What a person says: data by name or place, a network, a sparsity, seconds; a task, or None."""

    data: str
    network: str
    sparsity: float
    seconds: float
    task: str | None = None


@dataclass(frozen=True)
class Size:
    """What was chosen for the time: units a layer, share of the data, candidates, epochs, estimate."""

    width: int
    share: float
    candidates: int
    epochs: int
    seconds: float | None = None


def first_recipe(wish: Wish, found: Found, size: Size) -> str:
    """A whole recipe as TOML."""
    sequences = found.answers is not None
    return "\n".join(
        [
            *_head(wish, size.seconds),
            *_data(found, size.share),
            *_task(found),
            *_model(wish, found, size.width),
            *(_learning_sequences(size.epochs) if sequences else _learning_text(wish, size.epochs)),
            *_pruning(wish, sequences=sequences),
            *_spectrum(found),
            *_search(size),
        ]
    )


def later_round(epochs: int) -> int:
    """Epochs that a later round adds, of a full budget."""
    return 1 if epochs <= 16 else 3


def _head(wish: Wish, seconds: float | None) -> Iterator[str]:
    yield "# A search that `hyperprune init` wrote; every line may be changed."
    if seconds is not None:
        yield f"# It takes about {duration(seconds)} on this machine when nothing else runs there."
        yield "# `hyperprune run THIS --dry-run` estimates it anew."
    yield f"title = {inline(f'{wish.network} on {Path(wish.data).name} at {wish.sparsity:g}')}"
    yield "seed = 1"


def _data(found: Found, share: float) -> Iterator[str]:
    because = {
        "corpus": ""
        if found.root is None or found.answers
        else "  # train.txt, valid.txt and test.txt",
        "split": "  # the beginning of each trains, its end tests",
    }
    yield ""
    for line in data_lines(found):
        yield line + because.get(line.partition(" ")[0], "")
    if share < 1:
        yield f"train_fraction = {share}  # all of the data take longer than there is time"


def _task(found: Found) -> Iterator[str]:
    if found.task is None:
        return
    given = {
        "labels": "each has labels",
        "numbers": "each has numbers to answer with",
        "series": "no labels and no targets: what comes next",
    }
    why = f"  # {given[found.answers]}" if found.answers else ""
    yield ""
    yield "[task]"
    yield f"name = {inline(found.task)}{why}"
    if "horizon" in _options("task", found.task):
        yield "horizon = 1  # steps ahead"


def _model(wish: Wish, found: Found, width: int) -> Iterator[str]:
    dropout = 0.1 if wish.sparsity >= 0.8 else 0.2
    options: dict[str, tuple[object, str]] = {
        "embedding": (width, ""),
        "hidden": (width, "  # the widest that fits the time"),
        "last": (width, ""),
        "dropout": (
            dropout,
            "  # a sparse network has less to overfit with: half of a dense one's, or none",
        ),
        "init_range": (0.3, ""),
    }
    if found.answers is not None:
        options |= {"layers": (1, ""), "tied": (False, "")}
        del options["init_range"]
    taken = _options("model", wish.network)
    yield ""
    yield "[model]"
    yield f"name = {inline(wish.network)}"
    yield from (
        f"{key} = {inline(value)}{why}" for key, (value, why) in options.items() if key in taken
    )


def _learning_text(wish: Wish, epochs: int) -> Iterator[str]:
    yield ""
    yield "[train]"
    yield _epochs(epochs)
    if wish.sparsity >= 0.95:
        yield "lr = 10.0  # half a dense network's: so few weights bear no more"
    else:
        yield "lr = 20.0  # never above the dense network's"
    yield "batch = 10"
    yield "bptt = 20"
    yield "threads = 1"


def _learning_sequences(epochs: int) -> Iterator[str]:
    yield ""
    yield "[train]"
    yield _epochs(epochs)
    yield 'optimizer = "adam"'
    yield "lr = 0.01"
    yield 'schedule = "cosine"'
    yield "clip = 1.0"
    yield "batch = 16  # sequences, or pieces of a series"
    yield "eval_batch = 32"
    yield "threads = 1"


def _epochs(epochs: int) -> str:
    return f"epochs = {epochs}  # of finalists and of the dense reference; more is better"


def _pruning(wish: Wish, *, sequences: bool) -> Iterator[str]:
    few = wish.sparsity >= 0.9
    because = {"growth": "  # random growth needs more epochs with so few weights"} if few else {}
    space = FEW_WEIGHTS if few else SPACE
    yield ""
    yield "[prune]"
    yield f"sparsity = {wish.sparsity}"
    yield f"init_scale = {inline(INIT_SCALE)}  # matters more than anything else at 0.8 and above"
    if sequences:
        yield f"init = {inline(SPARSE['init'])}  # small tensors, such as what reads features, stay denser"
        space = {kind: names for kind, names in space.items() if kind != "init"}
    yield ""
    yield "[space]  # what candidates differ in"
    for kind, names in space.items():
        yield f"{kind} = {inline(names)}{because.get(kind, '')}"
    yield "removal_rate = { low = 0.3, high = 0.9 }"


def _spectrum(found: Found) -> Iterator[str]:
    yield ""
    yield "[spectrum]"
    if found.driving is None:
        yield "sequences = 4"
        return
    yield f"sequences = {found.driving.sequences}  # of the validation split"
    yield f"burn_in = {found.driving.burn_in}"
    yield f"steps = {found.driving.steps}"


def _search(size: Size) -> Iterator[str]:
    yield ""
    yield "[search]"
    yield f"candidates = {size.candidates}"
    yield 'workers = "auto"  # as many as this machine has room for'
    yield ""
    yield "[rounds]"
    yield "first = 3  # epochs before anyone is judged: two updates of the masks at least"
    yield f"epochs = {later_round(size.epochs)}"
    yield ""
    yield "[final]"
    yield "finalists = 2"
    yield ""


def _options(kind: str, name: str) -> set[str]:
    return {parameter.name for parameter in registry().get(kind, name).parameters}
