"""Language modelling: every word is to foretell the next."""

from __future__ import annotations

import math

from torch import Tensor, nn

from hyperprune.corpus import Corpus, batchify, unigram_perplexity
from hyperprune.errors import CorpusError
from hyperprune.model import State, losses
from hyperprune.task.contract import Batch, Batches, Cut, Split, Task
from hyperprune.task.segments import segments_of
from hyperprune.terms.metric import PERPLEXITY

EXPLODED = 2.0
"""A validation loss above this multiple of ln V, a uniform guess's, counts as diverged."""
WORDS = {"train": "training", "valid": "validation", "test": "test"}


class LanguageModelling(Task):
    """Foretell the next word of a text, segment by segment, with the state carried on."""

    metric = PERPLEXITY
    unit = "nats per token"

    def __init__(self, data: object) -> None:
        if not isinstance(data, Corpus):
            name = getattr(data, "name", type(data).__name__)
            raise CorpusError(
                f"task.name: 'language_modelling' needs a text, and corpus {name!r} is none; a task "
                "for sequences of numbers is 'classification' or 'regression'"
            )
        self.corpus = data
        self.bound = EXPLODED * math.log(self.size) if self.size > 1 else Task.bound

    @property
    def size(self) -> int:
        """Words of the vocabulary."""
        return len(self.corpus.vocabulary)

    def check(self, cut: Cut, split: Split, key: str) -> None:
        """Raise CorpusError where a split is too short for its batch."""
        tokens = self._tokens(split).numel()
        if tokens < 2 * cut.batch:
            raise CorpusError(
                f"{key}: the {WORDS[split]} text of {self.corpus.name} has {tokens:,} tokens; "
                f"a batch of {cut.batch:,} needs at least {2 * cut.batch:,}"
            )

    def epoch(self, cut: Cut, seed: int) -> Batches:
        """Segments of the training text in order; drawn lengths come from the seed."""
        return segments_of(batchify(self.corpus.train, cut.batch), cut, seed)

    def heldout(self, cut: Cut, split: Split) -> Batches:
        """Segments of equal length of a held-out text."""
        even = Cut(cut.batch, cut.bptt)
        return segments_of(batchify(self._tokens(split), cut.batch), even)

    def training_loss(
        self, model: nn.Module, batch: Batch, state: State
    ) -> tuple[Tensor, Tensor, State]:
        """Loss to minimise, mean negative log likelihood (nats per token), new state."""
        return losses(model).training_loss(batch.inputs, batch.targets, state)

    def evaluation_loss(
        self, model: nn.Module, batch: Batch, state: State
    ) -> tuple[Tensor, Tensor | None, State]:
        """Mean negative log likelihood (nats per token), which is the cost, and the new state."""
        nll, state = losses(model).evaluation_loss(batch.inputs, batch.targets, state)
        return nll, None, state

    def driving(self, sequences: int, steps: int) -> Tensor:
        """The first steps of the validation text in parallel streams: tokens (T, B)."""
        valid = self.corpus.valid
        if valid.numel() < steps * sequences:
            raise CorpusError(
                f"the validation text has {valid.numel():,} tokens; a spectrum of "
                f"{sequences} sequences × {steps} steps (spectrum.sequences, steps, burn_in) "
                f"needs {steps * sequences:,}"
            )
        return batchify(valid, sequences)[:steps]

    def unigram(self) -> float:
        """Validation perplexity of the words' own frequencies."""
        return unigram_perplexity(self.corpus)

    def _tokens(self, split: Split) -> Tensor:
        tokens: Tensor = getattr(self.corpus, split)
        return tokens
