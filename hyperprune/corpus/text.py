"""Texts in files: UTF-8 that is decoded piece by piece, or one sentence about what it is instead."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hyperprune.corpus.record import END
from hyperprune.errors import CorpusError

PIECE = 1 << 20
"""Bytes that are decoded at a time."""


def read_text(path: Path) -> str:
    r"""Whole text of a file, lines parted by `\n` alone; raises CorpusError as `pieces` does."""
    return "".join(pieces(path)).replace("\r\n", "\n")


def read_words(path: Path) -> Iterator[list[str]]:
    """Words that blanks separate, and an `<eos>` for every line, some thousands at a time.

    Raises CorpusError for a file that is no text, or is empty.
    """
    rest, last = "", ""
    for piece in pieces(path):
        words = (rest + piece.replace("\n", f" {END} ")).split()
        last = piece[-1]
        rest = "" if last.isspace() else words.pop()  # a word may go on in the next piece
        yield words
    if not last:
        raise CorpusError(f"{path} is empty; expected one sentence or paragraph a line")
    yield [*([rest] if rest else []), *([END] if last != "\n" else [])]


def read_characters(path: Path) -> Iterator[list[str]]:
    """Characters of a text, and an `<eos>` for every line end, some thousands at a time.

    Raises CorpusError for a file that is no text, or is empty.
    """
    held, last = "", ""
    for piece in pieces(path):
        piece = held + piece
        held = "\r" if piece.endswith("\r") else ""  # a line end may go on in the next piece
        read = piece.removesuffix("\r").replace("\r\n", "\n")
        last = read[-1:] or last
        yield [END if sign == "\n" else sign for sign in read]
    if not last and not held:
        raise CorpusError(f"{path} is empty; expected a text")
    yield [*held, *([END] if held or last != "\n" else [])]


def pieces(path: Path) -> Iterator[str]:
    """Text of a file, a piece at a time; raises CorpusError for a file that is no UTF-8 text.

    A byte order mark is no part of it. What is no file (a folder, a pipe, a device) is refused.
    """
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "a pipe or a device"
            raise CorpusError(f"{path} is {what}; expected a file of UTF-8 text")
        with path.open("rb") as file:
            yield from decoded(file, str(path))
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"cannot read {path}: {reason}; expected a UTF-8 text") from error


def decoded(file: BinaryIO, name: str) -> Iterator[str]:
    """Text of an open file, a piece at a time; raises CorpusError saying where it is no text."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    line, whole = 1, False
    while not whole:
        content = file.read(PIECE)
        whole = not content
        before = content[:2]
        try:
            piece = decoder.decode(content, final=whole)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            marked = line == 1 and before in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            why = "it begins as UTF-16 does" if marked else f"{error.reason} in line {line}"
            raise CorpusError(f"{name} is not UTF-8 text: {why}") from error
        if "\0" in piece:
            line += piece[: piece.index("\0")].count("\n")
            raise CorpusError(
                f"{name} is not UTF-8 text: a NUL in line {line} (UTF-16, or no text at all)"
            )
        line += piece.count("\n")
        if piece:
            yield piece
