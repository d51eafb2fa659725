"""The suite that every corpus passes: `check_corpus(load, folder_of_text)`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from hyperprune.corpus import Corpus
from hyperprune.errors import CorpusError


def check_corpus(load: Callable[[Path | None], Corpus], text: Path) -> bool:
    """Assert that a corpus keeps its contract; False where it finds no text.

    It may come by itself (`root` is None) or read train.txt, valid.txt and test.txt in a folder;
    it says CorpusError where it cannot. Splits are ids of one vocabulary, and loading again gives
    the same.
    """
    places = [place for place in (text, None) if _loads(load, place)]
    for place in places:
        corpus = load(place)
        vocabulary = corpus.vocabulary
        assert isinstance(vocabulary, tuple), "the vocabulary is a tuple of strings"
        assert len(set(vocabulary)) == len(vocabulary), "a word is twice in the vocabulary"
        assert all(isinstance(word, str) for word in vocabulary)
        for name in ("train", "valid", "test"):
            split = getattr(corpus, name)
            whole = (torch.int64, torch.int32)
            assert split.dtype in whole, f"{name} holds {split.dtype}, not int64 or int32"
            assert split.dim() == 1, f"{name} has {split.dim()} dimensions, not one"
            assert split.numel() > 1, f"{name} is empty"
            assert int(split.min()) >= 0, f"{name} has ids below 0"
            assert int(split.max()) < len(vocabulary), f"{name} has ids beyond the vocabulary"
        assert load(place).sha256 == corpus.sha256, "loading twice gives two different texts"
    return bool(places)


def _loads(load: Callable[[Path | None], Corpus], place: Path | None) -> bool:
    try:
        load(place)
    except CorpusError:
        return False
    return True
