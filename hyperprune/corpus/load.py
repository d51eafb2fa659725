"""A recipe's data, loaded once a process."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperprune.corpus.record import Corpus
from hyperprune.corpus.sequences import Sequences
from hyperprune.plugins import registry
from hyperprune.recipe.records import Data

_provided: dict[str, Corpus | Sequences] = {}  # by what a recipe says of its data


def load_corpus(data: Data, *, anew: bool = False) -> Corpus | Sequences:
    """Load a recipe's data once a process, cut to the shares it asks for; `anew`, as they are now."""
    if _provided and (known := _provided.get(data.model_dump_json())) is not None:
        return known
    if anew:
        _load_corpus.cache_clear()
    shares = (data.train_fraction, data.eval_fraction)
    files = registry().files  # the same name may mean another file's corpus
    return _load_corpus(data.corpus, data.root, shares, json.dumps(data.options), files)


@functools.lru_cache(maxsize=2)
def _load_corpus(
    name: str, root: str | None, shares: tuple[float, float], options: str, files: object
) -> Corpus | Sequences:
    load = registry().bind("corpus", name, json.loads(options))
    corpus: Corpus | Sequences = load(Path(root).expanduser() if root else None)
    if shares == (1.0, 1.0):
        return corpus

    def leading(split: Any, share: float) -> Any:
        return split[: max(1, round(len(split) * share))]

    return replace(
        corpus,
        train=leading(corpus.train, shares[0]),
        valid=leading(corpus.valid, shares[1]),
        test=leading(corpus.test, shares[1]),
    )


def provide(data: Data, corpus: Corpus | Sequences) -> None:
    """Have `load_corpus` answer with data that came from elsewhere, in place of loading some."""
    _provided.clear()  # a worker has one corpus at a time
    _provided[data.model_dump_json()] = corpus
