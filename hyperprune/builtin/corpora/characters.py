"""A user's own text, character by character: the smallest vocabulary there is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hyperprune.builtin.corpora.folder import FILES
from hyperprune.errors import CorpusError
from hyperprune.hookspecs import reads

if TYPE_CHECKING:
    from hyperprune.corpus import Corpus


def characters_of(text: str, options: Mapping[str, Any]) -> list[str]:
    """Characters of any text, an `<eos>` for every line end; joined they are the text again."""
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []
    return [sign for line in lines for sign in (*line, "<eos>")]


@reads(characters_of, between="")
def characters(root: Path | None, *, vocabulary: Annotated[int, Field(ge=3)] = 10_000) -> Corpus:
    """Your own text by characters: train.txt, valid.txt and test.txt in the folder `data.root`.

    Every character is a token, blanks among them, and every line ends with one `<eos>`; characters beyond
    the vocabulary's limit, and such as the training text has not, are read as `<unk>`. Raises CorpusError
    for a file that is missing, empty or no text.
    """
    from hyperprune.corpus import corpus_from_files

    if root is None:
        raise CorpusError(f"corpus 'characters' needs data.root: a folder with {', '.join(FILES)}")
    files = [root / name for name in FILES]
    return corpus_from_files("characters", files, limit=vocabulary, characters=True)
