"""Your own text, a character a token."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hyperprune import hookimpl
from hyperprune.errors import CorpusError
from hyperprune.hookspecs import Contributions, reads

if TYPE_CHECKING:
    from hyperprune.corpus import Corpus

SPLITS = ("train", "valid", "test")
NormalForm = Literal["none", "NFC", "NFKC"]


def characters_of(text: str, options: Mapping[str, Any]) -> list[str]:
    """Any text as the corpus has it."""
    return list(normalised(text, options.get("normal_form", "NFC")))


@reads(characters_of, between="")
def characters(
    root: Path | None,
    *,
    limit: Annotated[int, Field(ge=3, description="most frequent characters that are kept")] = 256,
    normal_form: NormalForm = "NFC",
) -> Corpus:
    """Characters of train.txt, valid.txt and test.txt in the folder `data.root`.

    A line break is a character; those beyond the limit are read as `<unk>`. Raises CorpusError.
    """
    from hyperprune.corpus import corpus_from_words, read_text

    if root is None:
        raise CorpusError(
            "corpus 'unicode_characters' needs data.root: a folder with train.txt, valid.txt, test.txt"
        )
    texts = (read_text(root / f"{split}.txt") for split in SPLITS)
    train, valid, test = (normalised(text, normal_form) for text in texts)
    return corpus_from_words("unicode_characters", train, valid, test, limit=limit)


def normalised(text: str, normal_form: str) -> str:
    """A text in a Unicode normal form, or as it is."""
    return text if normal_form == "none" else unicodedata.normalize(normal_form, text)


@hookimpl
def hyperprune_corpora() -> Contributions:
    """Offer the corpus."""
    return {"unicode_characters": characters}
