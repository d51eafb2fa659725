"""A trained network as its user has it: it scores and writes texts, wherever it was loaded from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperprune.corpus.words import Reader, reader_of
from hyperprune.errors import RunError
from hyperprune.export.about import About
from hyperprune.export.text import Score, generate_words, score_text
from hyperprune.model import State
from hyperprune.recipe.records import Recipe

if TYPE_CHECKING:
    from hyperprune.export.fast import CompiledNetwork
    from hyperprune.export.formats import Exported


class Network(ABC):
    """A language model with its vocabulary; a subclass says how it predicts."""

    about: About

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """Zero state of a batch."""

    @abstractmethod
    def predict(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (T, B, V) of what follows tokens (T, B), and the new state."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The word of each id."""
        return self.about.vocabulary

    @property
    def settings(self) -> Mapping[str, Any]:
        """The candidate's configuration: what its search chose."""
        return self.about.configuration

    @property
    def recipe(self) -> Recipe:
        """The candidate's own recipe."""
        return self.about.recipe

    @property
    def valid_perplexity(self) -> float | None:
        """On the validation split, of these weights when they were saved."""
        return self.about.valid_perplexity

    @property
    def test_perplexity(self) -> float | None:
        """On the test split, where a run read it: of the winner and of the dense reference."""
        return self.about.test_perplexity

    @property
    def dense_perplexity(self) -> float | None:
        """The dense reference's on the validation split."""
        return self.about.dense_valid_perplexity

    @cached_property
    def reader(self) -> Reader:
        """How the corpus turns a text into words."""
        return reader_of(self.about.recipe.data, self.vocabulary)

    def score(self, text: str) -> Score:
        """Score a text as one sequence; raises CorpusError where there is nothing to score."""
        state = self.initial_state(1)
        return score_text(self.predict, state, self.vocabulary, self.reader, text)

    def generate(
        self, prompt: str = "", *, words: int = 100, temperature: float = 1.0, seed: int = 0
    ) -> Iterator[str]:
        """Yield words that go on from a prompt; the same seed gives the same words."""
        if words < 0 or temperature < 0:
            raise RunError(
                f"found words={words}, temperature={temperature}; neither may be negative"
            )
        state = self.initial_state(1)
        drawing = {"words": words, "temperature": temperature, "seed": seed}
        return generate_words(
            self.predict,
            state,
            self.vocabulary,
            self.reader,
            prompt,
            **drawing,  # type: ignore[arg-type]
        )


@dataclass(frozen=True, eq=False)
class TrainedNetwork(Network):
    """Weights of a run: the `model` in evaluation mode, its boolean `masks` by parameter name."""

    model: nn.Module
    masks: Mapping[str, Tensor]
    about: About

    def export(self, format: str, path: Path | str, **options: Any) -> Exported:  # noqa: A002
        """Write a file and its card: see `hyperprune.export.formats.export_network`."""
        from hyperprune.export.formats import export_network

        return export_network(self, format, path, **options)

    def shrunk(self) -> TrainedNetwork:
        """The network without its dead units: see `hyperprune.export.shrink.shrunk`."""
        from hyperprune.export.shrink import shrunk

        return shrunk(self)

    def compiled(self, kind: str = "auto") -> CompiledNetwork:
        """A module whose steps are fast on a CPU: see `hyperprune.export.fast.compiled`."""
        from hyperprune.export.fast import compiled

        return compiled(self, kind)

    @property
    def nbytes(self) -> int:
        """Bytes of its weights in memory, zeros included."""
        return sum(parameter.nbytes for parameter in self.model.parameters())

    def initial_state(self, batch: int) -> State:
        """Zero state of a batch."""
        state: State = self.model.initial_state(batch)  # type: ignore[operator]
        return state

    @torch.no_grad()
    def predict(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (T, B, V) of what follows tokens (T, B), and the new state."""
        logits, state = self.model(tokens, state)
        return functional.log_softmax(logits.float(), -1), state
