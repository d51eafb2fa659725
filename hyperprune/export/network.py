"""A trained network as its user has it: it scores what is new, wherever it was loaded from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor, nn

from hyperprune.corpus.words import Reader, reader_of
from hyperprune.errors import RunError
from hyperprune.export.about import About
from hyperprune.export.sequences import SequencesScore, answer_sequences, score_sequences
from hyperprune.export.text import Score, generate_words, score_text
from hyperprune.model import State
from hyperprune.recipe.records import Recipe
from hyperprune.terms.metric import PERPLEXITY, Metric

if TYPE_CHECKING:
    from hyperprune.export.fast import CompiledNetwork
    from hyperprune.export.formats import Exported


class Network(ABC):
    """A language model with its vocabulary, or a network of sequences; a subclass says how it predicts."""

    about: About

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """Zero state of a batch."""

    @abstractmethod
    def predict(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (T, B, V) of what follows tokens (T, B), and the new state.

        Of other tasks: outputs (T, B, O) for inputs (T, B, F), scaled already.
        """

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The word of each id; none where sequences of numbers are read."""
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
    def metric(self) -> Metric:
        """What values are told in."""
        return self.about.metric

    @property
    def valid_value(self) -> float | None:
        """The metric on the validation split, of these weights when they were saved."""
        return self.about.valid_value

    @property
    def test_value(self) -> float | None:
        """On the test split, where a run read it: of the winner and of the dense reference."""
        return self.about.test_value

    @property
    def dense_value(self) -> float | None:
        """The dense reference's on the validation split."""
        return self.about.dense_valid_value

    @property
    def valid_perplexity(self) -> float | None:
        """`valid_value` of a language model; None where values are told in something else."""
        return self._perplexity(self.valid_value)

    @property
    def test_perplexity(self) -> float | None:
        """`test_value` of a language model."""
        return self._perplexity(self.test_value)

    @property
    def dense_perplexity(self) -> float | None:
        """`dense_value` of a language model."""
        return self._perplexity(self.dense_value)

    def _perplexity(self, value: float | None) -> float | None:
        return value if self.metric == PERPLEXITY else None

    @cached_property
    def reader(self) -> Reader:
        """How the corpus turns a text into words; raises RunError where the network foretells none."""
        self.about.text()
        return reader_of(self.about.recipe.data, self.vocabulary)

    @overload
    def score(self, given: str) -> Score: ...

    @overload
    def score(self, given: Any) -> Score | SequencesScore: ...

    def score(self, given: Any) -> Score | SequencesScore:
        """Score a text as one sequence; raises CorpusError where there is nothing to score.

        A network of sequences scores a `Path` (.npz, .safetensors, .csv), (x, y), a mapping with x and y, or
        a data set of such pairs, by the loss and the metric of its task.
        """
        if self.about.reads is not None:
            return score_sequences(self.about, self.predict, self.initial_state, given)
        if not isinstance(given, str):
            raise RunError(f"found {type(given).__name__}; this network scores a text, a str")
        reader, state = self.reader, self.initial_state(1)
        return score_text(self.predict, state, self.vocabulary, reader, given)

    def answer(self, x: Any) -> list[Tensor]:
        """What a network of sequences answers to each: (O,) after its last step, or (T, O) at every step.

        x: (N, T, F), or a list of (T, F), as the run's data were before they were scaled. Raises RunError
        where the network reads a text, CorpusError for what it cannot read.
        """
        return answer_sequences(self.about, self.predict, self.initial_state, x)

    def generate(
        self, prompt: str = "", *, words: int = 100, temperature: float = 1.0, seed: int = 0
    ) -> Iterator[str]:
        """Yield words that go on from a prompt; the same seed gives the same words.

        Raises RunError where the network foretells no words.
        """
        self.about.text()
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
    """Weights of a run: the `model` in evaluation mode, its boolean `masks` by parameter name.

    int8: the network whose weights are those of int8 files, where it was trained on as int8; else they are
    rounded from these.
    """

    model: nn.Module
    masks: Mapping[str, Tensor]
    about: About
    int8: TrainedNetwork | None = None

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
    def predict(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (T, B, V) of what follows tokens (T, B), or outputs (T, B, O), and the state."""
        outputs, state = self.model(inputs, state)
        return (outputs.float().log_softmax(-1) if self.about.language else outputs.float()), state
