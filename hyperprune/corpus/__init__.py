"""A text ready for training, how files are read, and how a recipe's text is loaded.

Imports plugins and recipe records. Called by `training`, `pipeline`, and plugins that bring texts.
"""

from hyperprune.corpus.files import corpus_from_files
from hyperprune.corpus.record import (
    END,
    UNKNOWN,
    Corpus,
    batchify,
    by_frequency,
    corpus_from_words,
    unigram_perplexity,
)
from hyperprune.corpus.text import read_text

__all__ = [
    "END",
    "UNKNOWN",
    "Corpus",
    "batchify",
    "by_frequency",
    "corpus_from_files",
    "corpus_from_words",
    "read_text",
    "unigram_perplexity",
]
