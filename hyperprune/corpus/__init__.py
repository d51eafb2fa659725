"""A text ready for training, and how a recipe's text is loaded.

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

__all__ = [
    "END",
    "UNKNOWN",
    "Corpus",
    "batchify",
    "by_frequency",
    "corpus_from_words",
    "unigram_perplexity",
]
