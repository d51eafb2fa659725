"""The suite that every corpus passes: `check_corpus(load, folder_of_text)`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from hyperprune.corpus import Corpus, Sequences
from hyperprune.errors import CorpusError


def check_corpus(load: Callable[[Path | None], Corpus | Sequences], *folders: Path) -> bool:
    """Assert that a corpus keeps its contract; False where it finds no data.

    It may come by itself (`root` is None) or read a folder: train.txt, valid.txt and test.txt,
    or train.npz, valid.npz and test.npz;
    it says CorpusError where it cannot. Splits are ids of one vocabulary, or padded
    sequences with their lengths, and loading again gives the same.
    """
    places = [place for place in (*folders, None) if _loads(load, place)]
    for place in places:
        corpus = load(place)
        assert load(place).sha256 == corpus.sha256, "loading twice gives two different texts"
        if isinstance(corpus, Sequences):
            _check_sequences(corpus)
            continue
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
    return bool(places)


def _check_sequences(data: Sequences) -> None:
    for name in ("train", "valid", "test"):
        part = getattr(data, name)
        assert part.x.dtype == torch.float32, f"{name}.x holds {part.x.dtype}, not float32"
        assert part.x.dim() == 3, f"{name}.x is {tuple(part.x.shape)}, not (N, T, F)"
        assert len(part) > 0, f"{name} is empty"
        assert part.x.shape[2] == data.features, f"{name} has other features than train"
        assert bool(part.x.isfinite().all()), f"{name}.x holds what is not finite"
        assert part.lengths.shape == (len(part),), f"{name} needs a length for every sequence"
        assert int(part.lengths.min()) > 0, f"{name} has a sequence without a step"
        assert int(part.lengths.max()) <= part.x.shape[1], f"{name} has a length beyond its steps"
        assert part.y is None or len(part.y) == len(part), f"{name} needs an answer a sequence"


def _loads(load: Callable[[Path | None], Corpus | Sequences], place: Path | None) -> bool:
    try:
        load(place)
    except CorpusError:
        return False
    return True
