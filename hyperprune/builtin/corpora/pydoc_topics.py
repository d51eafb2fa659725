"""The help texts that every CPython carries, as a small corpus that needs no download."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hyperprune.errors import CorpusError
from hyperprune.hookspecs import reads

if TYPE_CHECKING:
    from hyperprune.corpus import Corpus

HELD_OUT = 0.1
"""Share of the text that validation, and again test, may take at most."""

_WORD = re.compile(r"<unk>|\w+|[^\w\s]")
_BLANK = re.compile(r"\n\s*\n")


def words_of(text: str, options: Mapping[str, Any]) -> list[str]:
    """Any text as the corpus has it: lower-case words and single signs, `<eos>` after a paragraph."""
    return [word for paragraph in paragraphs(text) for word in paragraph]


@reads(words_of)
def pydoc(
    root: Path | None,
    *,
    vocabulary: Annotated[int, Field(ge=3)] = 2000,
    split: Literal["topic", "paragraph"] = "topic",
) -> Corpus:
    """Python's own help topics (about 80,000 words); no download.

    `split` says what is dealt out to training, validation and test: whole topics, of which a held-out
    one may be unlike all others, or paragraphs, which makes validation and test alike. The text
    belongs to the running Python: another release has other topics, and another hash.
    `root` is not used. Raises CorpusError where a Python was packed without its help topics.
    """
    from hyperprune.corpus import corpus_from_words

    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise CorpusError(
            "this Python was installed without its help topics (the module pydoc_data.topics); "
            "install its standard library in full, or choose another corpus"
        ) from error
    train, valid, test = deal(topics, split)
    return corpus_from_words("pydoc", train, valid, test, limit=vocabulary)


def deal(
    topics: Mapping[str, str], unit: Literal["topic", "paragraph"] = "topic"
) -> tuple[list[str], list[str], list[str]]:
    """Deal topics or paragraphs out to train, valid and test, in the order of their hashes.

    So the leading share of a split is like the whole of it.

    Topics quote each other at length. A paragraph that several of them have is kept once, in the
    first by name, so that held-out text was not seen in training.
    """
    seen: set[tuple[str, ...]] = set()
    words = {}
    for name in sorted(topics):
        fresh = [p for p in dict.fromkeys(paragraphs(topics[name])) if p not in seen]
        seen.update(fresh)
        if unit == "topic":
            words[name] = [word for paragraph in fresh for word in paragraph]
        else:
            words |= {" ".join(paragraph): list(paragraph) for paragraph in fresh}
    room = HELD_OUT * sum(len(part) for part in words.values())
    held_out: tuple[list[str], list[str]] = ([], [])  # validation, test
    chosen: set[str] = set()
    order = sorted(words, key=lambda name: hashlib.sha256(name.encode()).digest())
    for number, name in enumerate(order):
        # Paragraphs go to the two in turn: filled one after the other they would be unlike.
        turn = number % 2 if unit == "paragraph" else 0
        for part in (held_out[turn], held_out[1 - turn]):
            if len(part) + len(words[name]) <= room:
                part.extend(words[name])
                chosen.add(name)
                break
    return [word for name in order if name not in chosen for word in words[name]], *held_out


def paragraphs(text: str) -> Iterable[tuple[str, ...]]:
    """Cut a topic into paragraphs of lower-case words and single signs, each closed by `<eos>`.

    Lines without a letter or digit (underlines, rulings of tables) are left out.
    """
    for block in _BLANK.split(text):
        lines = [line for line in block.splitlines() if any(map(str.isalnum, line))]
        if lines:
            yield (*_WORD.findall(" ".join(lines).lower()), "<eos>")
