"""A text, or sequences of numbers, ready for training; how files are read, and a recipe's data loaded.

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
from hyperprune.corpus.sequences import (
    UNSCORED,
    Part,
    Sequences,
    cut_in_time,
    dealt,
    padded,
    scaled,
)
from hyperprune.corpus.text import read_text

__all__ = [
    "END",
    "UNKNOWN",
    "UNSCORED",
    "Corpus",
    "Part",
    "Sequences",
    "batchify",
    "by_frequency",
    "corpus_from_files",
    "corpus_from_words",
    "cut_in_time",
    "dealt",
    "padded",
    "read_text",
    "scaled",
    "unigram_perplexity",
]
