"""A first recipe for a text, a network, a sparsity and a time: what fits, by the estimate of `--dry-run`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hyperprune.corpus import Corpus
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import CorpusError, RecipeError, nearest
from hyperprune.plan.estimate import estimate
from hyperprune.plan.make import make_plan
from hyperprune.plan.settle import settle
from hyperprune.plugins import registry
from hyperprune.plugins.defaults import FEW_WEIGHTS, FOLDER, INIT_SCALE, SPACE
from hyperprune.recipe import loads
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.write import inline
from hyperprune.terms.duration import duration

WIDTHS = (320, 160, 80, 40)
"""Units of a layer that are tried, the most first; multiples of what chunks and heads come in."""
PLANS = ((40, 100), (24, 60), (16, 40), (12, 24), (8, 16), (8, 10), (4, 8), (4, 6))
"""Candidates and epochs of the full budget, the most first; six epochs hold two updates of a first round."""
ENOUGH = (8, 10)
"""The least plan for which a wider network is worth its time."""
SHARES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02)
"""Of the training text, where all of it takes too long."""
MARGIN = 0.8
"""Share of the time that an estimate from a few steps may fill."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Wish:
    """What a person says: a corpus by name or a folder of text, a network, a sparsity, seconds."""

    data: str
    network: str
    sparsity: float
    seconds: float


@dataclass(frozen=True)
class Advice:
    """A recipe as commented TOML, and the seconds that it is estimated to take here."""

    text: str
    seconds: float


def seconds_of_words(words: str) -> float:
    """Seconds of `90s`, `30m`, `2h` or `1d`; raises RecipeError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", words.lower())
    if found is None or float(found[1]) <= 0:
        raise RecipeError(
            [f"time: found {words!r}; expected a number with s, m, h or d, such as 30m"]
        )
    return float(found[1]) * UNITS[found[2]]


def advise(wish: Wish) -> Advice:
    """The largest search that fits; raises RecipeError where none does, or an answer is wrong."""
    _check(wish)
    fallback: Advice | None = None
    shortest = float("inf")
    for share in SHARES:
        for width in WIDTHS:
            found, shortest = _fitting(wish, width, share, shortest)
            if found is not None and found[1] in PLANS[: PLANS.index(ENOUGH) + 1]:
                return found[0]
            if found is not None and fallback is None:
                fallback = found[0]
        if fallback is not None:
            return fallback
    raise RecipeError(
        [
            f"time: {duration(wish.seconds)} is too short here; the smallest search takes about "
            f"{duration(shortest / MARGIN)}"
        ]
    )


def _fitting(
    wish: Wish, width: int, share: float, shortest: float
) -> tuple[tuple[Advice, tuple[int, int]] | None, float]:
    """The largest plan of one network and share of the text that fits, and the shortest seen."""
    settled = settle(loads(_recipe(wish, width, share, PLANS[-1], None)))
    cost = estimate(settled)
    for plan in PLANS:
        planned = make_plan(_planned(settled.recipe, plan), None)
        seconds = cost.epoch * (planned.dense_epochs + planned.search_epochs / settled.workers)
        shortest = min(shortest, seconds)
        if seconds <= MARGIN * wish.seconds:
            return (Advice(_recipe(wish, width, share, plan, seconds), seconds), plan), shortest
    return None, shortest


def _planned(recipe: Recipe, plan: tuple[int, int]) -> Recipe:
    """The same recipe with other candidates and epochs, as `_recipe` writes them."""
    candidates, epochs = plan
    changed = {
        "search": recipe.search.model_copy(update={"candidates": candidates}),
        "train": recipe.train.model_copy(update={"epochs": epochs}),
        "rounds": recipe.rounds.model_copy(update={"epochs": _step(epochs)}),
    }
    return recipe.model_copy(update=changed)


def _step(epochs: int) -> int:
    """Epochs of a later round."""
    return 1 if epochs <= 16 else 3


def _check(wish: Wish) -> None:
    problems = []
    known = registry().names("model")
    if wish.network not in known:
        listed = ", ".join(known)
        problems.append(
            f"network: found {wish.network!r}{nearest(wish.network, known)}; networks: {listed}"
        )
    if not 0 < wish.sparsity < 1:
        problems.append(f"sparsity: found {wish.sparsity:g}; expected a number above 0 and below 1")
    corpora = registry().names("corpus")
    if wish.data not in corpora and not Path(wish.data).expanduser().is_dir():
        problems.append(
            f"data: found {wish.data!r}{nearest(wish.data, corpora)}; expected a folder with train.txt, "
            f"valid.txt and test.txt, or a corpus: {', '.join(corpora)}"
        )
    if problems:
        raise RecipeError(problems)
    found = load_corpus(loads("\n".join(_data(wish, 1.0))).data)
    if not isinstance(found, Corpus):
        raise CorpusError(
            f"{wish.data} holds sequences, not text; for those copy a recipe and change it: "
            "`hyperprune recipes cp digits mine.toml`, or forecast, or adding"
        )


def _recipe(
    wish: Wish, width: int, share: float, plan: tuple[int, int], seconds: float | None
) -> str:
    return "\n".join(
        [
            *_head(wish, seconds),
            *_data(wish, share),
            *_model(wish, width),
            *_training(wish, plan[1]),
            *_pruning(wish),
            *_search(plan),
        ]
    )


def _head(wish: Wish, seconds: float | None) -> Iterator[str]:
    yield "# A search that `hyperprune init` wrote; every line may be changed."
    if seconds is not None:
        yield f"# It takes about {duration(seconds)} on this machine when nothing else runs there."
        yield "# `hyperprune run THIS --dry-run` estimates it anew."
    yield f"title = {inline(f'{wish.network} on {Path(wish.data).name} at {wish.sparsity:g}')}"
    yield "seed = 1"


def _data(wish: Wish, share: float) -> Iterator[str]:
    yield ""
    yield "[data]"
    if wish.data in registry().names("corpus"):
        yield f"corpus = {inline(wish.data)}"
    else:
        yield f"corpus = {inline(FOLDER)}  # train.txt, valid.txt and test.txt in the folder"
        yield f"root = {inline(str(Path(wish.data).expanduser().absolute()))}"
    if share < 1:
        yield f"train_fraction = {share}  # all of the text takes longer than there is time"


def _model(wish: Wish, width: int) -> Iterator[str]:
    taken = {p.name for p in registry().get("model", wish.network).parameters}
    dense, sparse = 0.2, 0.1
    options = {
        "embedding": (width, ""),
        "hidden": (width, "  # the widest that fits the time"),
        "last": (width, ""),
        "dropout": (
            sparse if wish.sparsity >= 0.8 else dense,
            "  # a sparse network has less to overfit with: half of a dense one's, or none",
        ),
        "init_range": (0.3, ""),
    }
    yield ""
    yield "[model]"
    yield f"name = {inline(wish.network)}"
    yield from (f"{key} = {value}{why}" for key, (value, why) in options.items() if key in taken)


def _training(wish: Wish, epochs: int) -> Iterator[str]:
    yield ""
    yield "[train]"
    yield f"epochs = {epochs}  # of finalists and of the dense reference; more is better"
    if wish.sparsity >= 0.95:
        yield "lr = 10.0  # half a dense network's: so few weights bear no more"
    else:
        yield "lr = 20.0  # never above the dense network's"
    yield "batch = 10"
    yield "bptt = 20"
    yield "threads = 1"


def _pruning(wish: Wish) -> Iterator[str]:
    few = wish.sparsity >= 0.9
    because = {"growth": "  # random growth needs more epochs with so few weights"} if few else {}
    yield ""
    yield "[prune]"
    yield f"sparsity = {wish.sparsity}"
    yield f"init_scale = {inline(INIT_SCALE)}  # matters more than anything else at 0.8 and above"
    yield ""
    yield "[space]  # what candidates differ in"
    for kind, names in (FEW_WEIGHTS if few else SPACE).items():
        yield f"{kind} = {inline(names)}{because.get(kind, '')}"
    yield "removal_rate = { low = 0.3, high = 0.9 }"


def _search(plan: tuple[int, int]) -> Iterator[str]:
    yield ""
    yield "[spectrum]"
    yield "sequences = 4"
    yield ""
    yield "[search]"
    yield f"candidates = {plan[0]}"
    yield 'workers = "auto"  # as many as this machine has room for'
    yield ""
    yield "[rounds]"
    yield "first = 3  # epochs before anyone is judged: two updates of the masks at least"
    yield f"epochs = {_step(plan[1])}"
    yield ""
    yield "[final]"
    yield "finalists = 2"
    yield ""
