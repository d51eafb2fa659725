"""A user's own text in byte-pair pieces: frequent words stay whole, rare ones come in parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hyperprune.builtin.corpora.folder import FILES
from hyperprune.errors import CorpusError
from hyperprune.hookspecs import reads

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from hyperprune.corpus import Corpus

SPECIAL = ("<unk>", "<eos>")
WORDS = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What no piece reaches beyond: a word, a number or signs, with the blank before it (Radford et al. 2019)."""


def pieces_of(text: str, options: Mapping[str, Any], vocabulary: Sequence[str]) -> list[str]:
    """Any text as pieces of the vocabulary, an `<eos>` for every line; joined they are the text again.

    A character that the training text has not is a piece of its own, which no vocabulary has.
    """
    tokenizer = _tokenizer(tuple(vocabulary))
    found: list[str] = []
    for line in _lines(text):
        offsets = tokenizer.encode(line, add_special_tokens=False).offsets
        found += [line[start:end] for start, end in offsets]
        found.append("<eos>")
    return found


@reads(pieces_of, between="")
def bpe(root: Path | None, *, vocabulary: Annotated[int, Field(ge=3)] = 4000) -> Corpus:
    """Your own text in byte-pair pieces: train.txt, valid.txt and test.txt in the folder `data.root`.

    Pieces are learned on the training text alone (Sennrich et al. 2016, by the `tokenizers` library, an
    extra), over its characters; a blank belongs to the word after it, and every line ends with one
    `<eos>`. Raises CorpusError for a missing, empty or undecodable file, or where the library is missing.
    """
    import torch

    from hyperprune.corpus import Corpus, read_text

    if root is None:
        raise CorpusError(f"corpus 'bpe' needs data.root: a folder with {', '.join(FILES)}")
    texts = [read_text(root / name) for name in FILES]
    for name, text in zip(FILES, texts, strict=True):
        if not text.strip():
            raise CorpusError(f"{root / name} is empty; expected one sentence or paragraph a line")
    words = learned(_lines(texts[0]), vocabulary)
    ids = {word: index for index, word in enumerate(words)}
    splits = [
        torch.tensor([ids.get(piece, 0) for piece in pieces_of(text, {}, words)]) for text in texts
    ]
    return Corpus("bpe", words, *splits)


def learned(lines: Iterable[str], size: int) -> tuple[str, ...]:
    """The vocabulary: `<unk>`, `<eos>`, characters by their code points, and pieces in the order learned.

    That order is the whole of the tokenizer: see `merges_of`.
    """
    tokenizer = _untrained(unk_token=SPECIAL[0])
    trainer = _library().trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    known = tokenizer.get_vocab()
    if len(known) > size:
        raise CorpusError(
            f"corpus 'bpe': found vocabulary {size}; the training text has {len(known) - 2} different "
            f"characters, which take {len(known)} with <unk> and <eos>"
        )
    return tuple(sorted(known, key=lambda word: known[word]))


def merges_of(vocabulary: Sequence[str]) -> list[tuple[str, str]]:
    """Which two pieces each longer piece was made of: what the pieces before it make of its characters."""
    rank = {word: index for index, word in enumerate(vocabulary)}
    found = []
    for word in vocabulary:
        if word in SPECIAL or len(word) < 2:
            continue
        parts = list(word)
        while len(parts) > 2:
            pairs = [a + b for a, b in itertools.pairwise(parts)]
            best = min(pairs, key=lambda pair: rank.get(pair, len(rank)))
            if rank.get(best, len(rank)) >= rank[word]:
                break
            at = pairs.index(best)
            parts[at : at + 2] = [best]
        if len(parts) == 2:
            found.append((parts[0], parts[1]))
    return found


@lru_cache(maxsize=4)
def _tokenizer(vocabulary: tuple[str, ...]) -> Tokenizer:
    """The tokenizer that a vocabulary is."""
    ids = {word: index for index, word in enumerate(vocabulary)}
    merges = [pair for pair in merges_of(vocabulary) if set(pair) <= ids.keys()]
    return _untrained(vocab=ids, merges=merges, unk_token=SPECIAL[0])


def _untrained(**model: Any) -> Tokenizer:
    library = _library()
    found: Tokenizer = library.Tokenizer(library.models.BPE(**model))
    found.pre_tokenizer = library.pre_tokenizers.Split(library.Regex(WORDS), behavior="isolated")
    return found


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise CorpusError(
            "corpus 'bpe' needs the library tokenizers: pip install 'hyperprune[tokenizers]'"
        ) from None
    return tokenizers


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []
