"""What a network makes of a text, and texts that it makes itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from hyperprune.corpus import END, UNKNOWN
from hyperprune.corpus.words import Reader, encode
from hyperprune.errors import CorpusError
from hyperprune.model import State

SEGMENT = 128
"""Tokens a pass: as many rows of log-probabilities are held at a time."""

Predict: TypeAlias = Callable[[Tensor, State], tuple[Tensor, State]]
"""Tokens (T, B) and state to log-probabilities of the next token (T, B, V) and the new state."""


@dataclass(frozen=True)
class Score:
    """How well a text was predicted; log-probabilities are natural, one a scored word."""

    words: tuple[str, ...]  # as the text has them, unknown ones too
    log_probabilities: tuple[float, ...]
    unknown: int  # words that were read, and predicted, as <unk>
    bytes: int  # UTF-8, of the text that was scored

    @property
    def loss(self) -> float:
        """Mean negative log likelihood, nats per token."""
        return -math.fsum(self.log_probabilities) / len(self.log_probabilities)

    @property
    def perplexity(self) -> float:
        """Exp of the loss: per token, and so of networks with the same vocabulary only."""
        return math.exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """What compares networks with different vocabularies, where no word is unknown to either."""
        return -math.fsum(self.log_probabilities) / math.log(2) / self.bytes


@torch.no_grad()
def score_text(
    predict: Predict, state: State, vocabulary: tuple[str, ...], reader: Reader, text: str
) -> Score:
    """Score a text word by word from a zero state (B = 1), as one sequence.

    It is read after an `<eos>`, so that its first word is scored too; where a vocabulary has none,
    scoring begins with the second. Raises CorpusError where there is nothing to score.
    """
    words = reader.words(text)
    start = [END] if END in vocabulary else []
    ids = encode([*start, *words], vocabulary)  # (N,)
    if ids.numel() < 2:
        raise CorpusError("the text has no words to score")
    found: list[float] = []
    for at in range(0, ids.numel() - 1, SEGMENT):
        targets = ids[at + 1 : at + 1 + SEGMENT]
        predicted, state = predict(ids[at : at + targets.numel()].unsqueeze(1), state)
        found += predicted[:, 0].gather(1, targets.unsqueeze(1)).squeeze(1).double().tolist()
    known = set(vocabulary)
    scored = words[len(words) - len(found) :]
    size = len(text.encode("utf-8", "replace"))
    if not start:
        size -= len(words[0].encode("utf-8", "replace"))
    unknown = sum(word not in known for word in scored)
    return Score(tuple(scored), tuple(found), unknown, max(1, size))


@torch.no_grad()
def generate_words(
    predict: Predict,
    state: State,
    vocabulary: tuple[str, ...],
    reader: Reader,
    prompt: str,
    *,
    words: int,
    temperature: float,
    seed: int,
) -> Iterator[str]:
    """Draw words one after another, after the prompt's; temperature 0 takes the likeliest.

    `<unk>` stands for no word and is never drawn. The same seed gives the same words.
    """
    said = reader.words(prompt)
    if said and said[-1] == END and not prompt.endswith("\n"):
        said.pop()  # the reader ends a line that the network is to go on with
    start = [END] if END in vocabulary else list(vocabulary[:1])
    ids = encode([*start, *said], vocabulary)
    draw = torch.Generator().manual_seed(seed)
    banned = vocabulary.index(UNKNOWN) if UNKNOWN in vocabulary and len(vocabulary) > 1 else None
    for at in range(0, ids.numel(), SEGMENT):
        predicted, state = predict(ids[at : at + SEGMENT].unsqueeze(1), state)
    for _ in range(words):
        scores = predicted[-1, 0].double()  # (V,)
        if banned is not None:
            scores[banned] = -math.inf
        if temperature == 0:
            chosen = scores.argmax().view(1)
        else:
            chosen = torch.multinomial(torch.softmax(scores / temperature, 0), 1, generator=draw)
        yield vocabulary[int(chosen)]
        predicted, state = predict(chosen.view(1, 1), state)
