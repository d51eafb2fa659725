"""A user's own text: a folder with three files, one sentence or paragraph a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune.errors import CorpusError

if TYPE_CHECKING:
    from hyperprune.corpus import Corpus

FILES = ("train.txt", "valid.txt", "test.txt")


def text(root: Path | None, *, vocabulary: Annotated[int, Field(ge=3)] = 10_000) -> Corpus:
    """Your own text: train.txt, valid.txt and test.txt in the folder `data.root`.

    Words are what blanks separate; every line ends with one `<eos>`; words beyond the vocabulary's
    limit are read as `<unk>`. Raises CorpusError for a missing, empty or undecodable file.
    """
    from hyperprune.corpus import corpus_from_words

    if root is None:
        raise CorpusError(f"corpus 'text' needs data.root: a folder with {', '.join(FILES)}")
    train, valid, test = (read_words(root / name) for name in FILES)
    return corpus_from_words("text", train, valid, test, limit=vocabulary)


def read_words(path: Path) -> list[str]:
    """Read a file as words, one `<eos>` a line; raises CorpusError naming the file."""
    words: list[str] = []
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                words += line.split()
                words.append("<eos>")
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}; expected a UTF-8 text") from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error
    if not words:
        raise CorpusError(f"{path} is empty; expected one sentence or paragraph a line")
    return words
