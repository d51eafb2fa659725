"""A text, or sequences of numbers, ready for training, and how a recipe's data are loaded.

Imports plugins and recipe records. Called by `training`, `pipeline`, and plugins that bring texts.
"""

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

__all__ = [
    "END",
    "UNKNOWN",
    "UNSCORED",
    "Corpus",
    "Part",
    "Sequences",
    "batchify",
    "by_frequency",
    "corpus_from_words",
    "cut_in_time",
    "dealt",
    "padded",
    "scaled",
    "unigram_perplexity",
]
