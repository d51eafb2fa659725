"""How a corpus reads and writes words, for texts that it has never seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperprune.corpus.record import UNKNOWN
from hyperprune.errors import CorpusError
from hyperprune.plugins import registry
from hyperprune.plugins.parameters import takes
from hyperprune.recipe.records import Data


@dataclass(frozen=True)
class Reader:
    """A text to words as a corpus has them, and what stands between words in a text."""

    words: Callable[[str], list[str]]
    between: str


def reader_of(data: Data, vocabulary: Sequence[str] = ()) -> Reader:
    """The reader that a recipe's corpus declares, over the words that its network knows.

    Raises PluginError where the plugin is missing.
    """
    load = registry().get("corpus", data.corpus).target
    words = getattr(load, "words", words_by_blanks)
    known: dict[str, Any] = {"vocabulary": vocabulary} if takes(words, 3) else {}
    return Reader(partial(words, options=data.options, **known), getattr(load, "between", " "))


def words_by_blanks(text: str, options: Mapping[str, Any]) -> list[str]:
    """Words that blanks separate, and an `<eos>` for every line."""
    lines = text.removesuffix("\n").split("\n") if text else []
    return [word for line in lines for word in (*line.split(), "<eos>")]


def encode(words: Sequence[str], vocabulary: Sequence[str]) -> Tensor:
    """Ids (int64) of words; what the vocabulary lacks is `<unk>`.

    Raises CorpusError for a word that is in no vocabulary without `<unk>`.
    """
    ids = {word: index for index, word in enumerate(vocabulary)}
    unknown = ids.get(UNKNOWN)
    if unknown is None:
        odd = next((word for word in words if word not in ids), None)
        if odd is not None:
            raise CorpusError(
                f"the text has {odd!r}, which is not in the vocabulary of {len(ids)} words, and "
                f"that has no {UNKNOWN} to stand for it"
            )
    known = (ids.get(word, unknown or 0) for word in words)
    return torch.from_numpy(np.fromiter(known, dtype=np.int64, count=len(words)))
