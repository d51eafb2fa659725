"""Shipped corpora."""

from __future__ import annotations

from hyperprune.builtin.corpora.arrays import arrays
from hyperprune.builtin.corpora.characters import characters
from hyperprune.builtin.corpora.digits import digits
from hyperprune.builtin.corpora.folder import text
from hyperprune.builtin.corpora.generated import adding, copying, mackey_glass, parity
from hyperprune.builtin.corpora.pieces import bpe
from hyperprune.builtin.corpora.published import ptb, wikitext2
from hyperprune.builtin.corpora.pydoc_topics import pydoc
from hyperprune.hookspecs import Contributions

CORPORA: Contributions = {
    "pydoc": pydoc,
    "ptb": ptb,
    "wikitext2": wikitext2,
    "text": text,
    "arrays": arrays,
    "digits": digits,
    "adding": adding,
    "copying": copying,
    "parity": parity,
    "mackey_glass": mackey_glass,
    "bpe": bpe,
    "characters": characters,
}
