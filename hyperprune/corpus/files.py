"""Texts in files as tokens: read in pieces, and those of large texts kept for all processes to map.

A token takes 4 bytes, in a file of the cache that every process maps: its memory is shared, and what
nobody asks for is never read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hyperprune.corpus.record import UNKNOWN, Corpus, vocabulary_of
from hyperprune.corpus.text import read_characters, read_words
from hyperprune.errors import CorpusError
from hyperprune.runtime.caches import cache_folder

LARGE = 4 << 20
"""Bytes of text from which tokens are kept; a smaller one is read again faster than it is found."""
READINGS = (
    ("words that blanks separate, 1", read_words),
    ("every character, 1", read_characters),
)
"""How files become tokens; another way needs another name, so that what is kept is made anew."""
SPLITS = ("train", "valid", "test")


def corpus_from_files(
    name: str, files: Sequence[Path], *, limit: int = 0, characters: bool = False
) -> Corpus:
    """Words or characters of three files (train, valid, test) as `corpus_from_words` numbers them.

    Blanks separate words, and every line ends with an `<eos>`. Large texts are read once, whatever
    their size, and shared by processes. Raises CorpusError for a file that is no text or is empty.
    """
    try:
        if sum(path.stat().st_size for path in files) < LARGE:
            return _read(name, files, limit, characters)
        key = _key(files, limit, characters)
        kept = cache_folder("tokens") / f"{key}.safetensors"
        known = _load(name, kept)
        if known is not None:
            return known
        corpus = _read(name, files, limit, characters)
        if _key(files, limit, characters) == key:  # nobody wrote to them meanwhile
            _keep(kept, corpus)
        return _load(name, kept) or corpus
    except OSError as error:
        raise CorpusError(
            f"cannot read {error.filename}: {error.strerror}; expected a UTF-8 text"
        ) from error


def _key(files: Sequence[Path], limit: int, characters: bool) -> str:
    """Hash of what the tokens of a text depend on."""
    digest = hashlib.sha256(f"{READINGS[characters][0]} {limit}".encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def _read(name: str, files: Sequence[Path], limit: int, characters: bool) -> Corpus:
    train, *others = files
    _, read = READINGS[characters]
    counts: Counter[str] = Counter()
    for words in read(train):
        counts.update(words)
    seen = {word for path in others for words in read(path) for word in words}
    vocabulary = vocabulary_of(counts, seen, limit)
    ids = {word: index for index, word in enumerate(vocabulary)}
    unknown = ids.get(UNKNOWN, 0)
    splits = []
    for path in files:
        tokens = array("i")
        for words in read(path):
            tokens.extend([ids.get(word, unknown) for word in words])
        splits.append(torch.frombuffer(tokens, dtype=torch.int32))
    return Corpus(name, vocabulary, *splits)


def _keep(path: Path, corpus: Corpus) -> None:
    """Write tokens for other processes and runs; where that fails, they will be read again."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    splits = {name: getattr(corpus, name) for name in SPLITS}
    about = {"vocabulary": json.dumps(corpus.vocabulary), "sha256": _hash(splits)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(splits, partial, metadata=about)
        partial.replace(path)
    except (OSError, SafetensorError):
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _load(name: str, path: Path) -> Corpus | None:
    """Map what `_keep` wrote; None where there is nothing, or it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:  # maps, and reads nothing yet
            about = file.metadata()
            splits = {split: file.get_tensor(split) for split in SPLITS}
        if about["sha256"] != _file_hash(path):
            return None
        return Corpus(name, tuple(json.loads(about["vocabulary"])), **splits)
    except Exception:  # whatever is wrong with a cache, reading the text is right
        return None


def _hash(splits: Mapping[str, Tensor]) -> str:
    """Hash of tensors as they stand in a file, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        digest.update(splits[name].numpy().data)
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    """The same of a file, which is read and not mapped: pages that nobody needs stay out of memory."""
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))  # after the header
        return hashlib.file_digest(file, "sha256").hexdigest()
