"""A recipe's text, loaded once a process."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from torch import Tensor

from hyperprune.corpus.record import Corpus
from hyperprune.plugins import registry
from hyperprune.recipe.records import Data


def load_corpus(data: Data) -> Corpus:
    """Load a recipe's text once a process, cut to the shares it asks for."""
    shares = (data.train_fraction, data.eval_fraction)
    files = registry().files  # the same name may mean another file's corpus
    return _load_corpus(data.corpus, data.root, shares, json.dumps(data.options), files)


@functools.lru_cache(maxsize=2)
def _load_corpus(
    name: str, root: str | None, shares: tuple[float, float], options: str, files: object
) -> Corpus:
    load = registry().bind("corpus", name, json.loads(options))
    corpus: Corpus = load(Path(root).expanduser() if root else None)
    if shares == (1.0, 1.0):
        return corpus

    def leading(split: Tensor, share: float) -> Tensor:
        return split[: max(1, round(split.numel() * share))]

    return Corpus(
        corpus.name,
        corpus.vocabulary,
        leading(corpus.train, shares[0]),
        leading(corpus.valid, shares[1]),
        leading(corpus.test, shares[1]),
    )
