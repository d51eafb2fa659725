"""A text ready for training: three splits of token ids over one vocabulary."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hyperprune.errors import CorpusError

UNKNOWN = "<unk>"
END = "<eos>"
CHUNK = 1 << 16
"""Tokens that are hashed at a time."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Splits of token ids (int64 or int32, one dimension) and the vocabulary they index."""

    name: str
    vocabulary: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor

    @cached_property
    def sha256(self) -> str:
        """Hash of vocabulary and splits: equal hashes mean equal input to every model."""
        digest = hashlib.sha256("\n".join(self.vocabulary).encode())
        for split in (self.train, self.valid, self.test):
            digest.update(split.numel().to_bytes(8, "little"))
            for part in split.split(CHUNK):
                digest.update(part.to(torch.int64).contiguous().numpy())
        return digest.hexdigest()


def corpus_from_words(
    name: str,
    train: Sequence[str],
    valid: Sequence[str],
    test: Sequence[str],
    *,
    limit: int = 0,
) -> Corpus:
    """Number the words of three splits by how often training says them, ties in code-point order.

    With a limit, the vocabulary is the `limit` most frequent words of the training split, `<unk>`
    and `<eos>` among them, and every other word is read as `<unk>`. With limit 0 it is every word
    of the three splits. Raises CorpusError for an empty split.
    """
    splits = {"training": train, "validation": valid, "test": test}
    for split, words in splits.items():
        if not words:
            raise CorpusError(f"the {split} text of {name} has no words")
    vocabulary = vocabulary_of(Counter(train), set(valid) | set(test), limit)
    ids = {word: index for index, word in enumerate(vocabulary)}
    unknown = ids.get(UNKNOWN, 0)

    def encode(words: Sequence[str]) -> Tensor:
        known = (ids.get(word, unknown) for word in words)
        return torch.from_numpy(np.fromiter(known, dtype=np.int64, count=len(words)))

    return Corpus(name, vocabulary, encode(train), encode(valid), encode(test))


def vocabulary_of(counts: Counter[str], others: Iterable[str], limit: int) -> tuple[str, ...]:
    """Words of the training text by frequency: the `limit` first, or all, and those of other splits."""
    if limit:
        frequent = [word for word in by_frequency(counts) if word not in (UNKNOWN, END)]
        kept = {UNKNOWN, END, *frequent[: max(0, limit - 2)]}
        counts[UNKNOWN] += sum(count for word, count in counts.items() if word not in kept)
        counts = Counter({word: counts[word] for word in kept})
    else:
        counts.update(dict.fromkeys(others, 0))
    return tuple(by_frequency(counts))


def by_frequency(counts: Counter[str]) -> Iterable[str]:
    """List words, most frequent first, ties in code-point order."""
    return sorted(counts, key=lambda word: (-counts[word], word))


def unigram_perplexity(corpus: Corpus) -> float:
    """Validation perplexity of add-one smoothed training frequencies: what a model must beat."""
    size = len(corpus.vocabulary)
    counts = torch.bincount(corpus.train, minlength=size).double() + 1
    return math.exp(-float((counts / counts.sum()).log()[corpus.valid].mean()))


def batchify(tokens: Tensor, batch: int) -> Tensor:
    """Cut a split into `batch` parallel streams: (steps, B), dropping what does not fill a row."""
    steps = tokens.numel() // batch
    streams = torch.empty(steps, batch, dtype=torch.int64, device=tokens.device)  # (steps, B)
    return streams.copy_(
        tokens[: steps * batch].view(batch, steps).t()
    )  # one copy, whatever the type
