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
    limit are read as `<unk>`. Raises CorpusError for a file that is missing, empty or no text.
    """
    from hyperprune.corpus import corpus_from_files

    if root is None:
        raise CorpusError(f"corpus 'text' needs data.root: a folder with {', '.join(FILES)}")
    return corpus_from_files("text", [root / name for name in FILES], limit=vocabulary)
