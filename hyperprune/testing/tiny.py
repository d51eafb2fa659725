"""Things small enough for a test: a text, a corpus, a network, spectra, a space, a recipe, a run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.corpus import Corpus, Part, Sequences, corpus_from_words, padded
from hyperprune.events import Observer
from hyperprune.judgement.result import RunResult
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.model import RecurrentLM, State, StatePart
from hyperprune.pipeline import run as api
from hyperprune.plugins import Contribution
from hyperprune.recipe import Recipe, loads
from hyperprune.recipe.write import inline
from hyperprune.search.objective import Comparison, Progress
from hyperprune.search.observation import Observation
from hyperprune.search.space import Dimension, Range, Space, Values

VOCABULARY = 12
SPLITS = {"train": 300, "valid": 80, "test": 80}
RECIPE = Path(__file__).with_name("tiny.toml")


def tiny_words(count: int, seed: int) -> list[str]:
    """Words of which each is fond of one that follows: a text with something to learn."""
    draw = random.Random(seed)
    words, word = [], 0
    for _ in range(count):
        fond = draw.random() < 0.8
        word = (3 * word + 1) % VOCABULARY if fond else draw.randrange(VOCABULARY)
        words.append(f"w{word}")
    return words


def tiny_text(folder: Path) -> Path:
    """Write train.txt, valid.txt and test.txt into a folder; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, count) in enumerate(SPLITS.items()):
        words = tiny_words(count, seed)
        lines = (" ".join(words[at : at + 10]) for at in range(0, count, 10))
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def tiny_corpus() -> Corpus:
    """A corpus of 12 words."""
    splits = [tiny_words(count, seed) for seed, count in enumerate(SPLITS.values())]
    return corpus_from_words("tiny", *splits)


class TinyModel(RecurrentLM):
    """One tanh layer: s' = tanh(E[x] + W s), logits D s'. Its only recurrent weight is W."""

    def __init__(self, vocabulary: int = VOCABULARY, hidden: int = 5) -> None:
        super().__init__()
        self.state_parts = (StatePart(0, "hidden", hidden),)
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.recurrent = nn.Parameter(torch.randn(hidden, hidden) / hidden**0.5)
        self.decoder = nn.Linear(hidden, vocabulary)

    def step(self, x_t: Tensor, state: State) -> State:
        """One step: x_t is ids (B,) or inputs (B, H)."""
        x = x_t if x_t.is_floating_point() else self.embedding(x_t)
        return (torch.tanh(x + state[0] @ self.recurrent.t()),)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (T, B, V) for tokens (T, B), and the last state."""
        outputs = []
        for x_t in self.embedding(tokens):
            state = self.step(x_t, state)
            outputs.append(state[0])
        return self.decoder(torch.stack(outputs)), state


class TinySequenceModel(RecurrentLM):
    """One tanh layer on features: s' = tanh(E x + W s), outputs D s'."""

    def __init__(self, inputs: int, outputs: int, hidden: int = 5) -> None:
        super().__init__()
        self.state_parts = (StatePart(0, "hidden", hidden),)
        self.encoder = nn.Linear(inputs, hidden)
        self.recurrent = nn.Parameter(torch.randn(hidden, hidden) / hidden**0.5)
        self.decoder = nn.Linear(hidden, outputs)

    def step(self, x_t: Tensor, state: State) -> State:
        """One step on features (B, F)."""
        return (torch.tanh(self.encoder(x_t) + state[0] @ self.recurrent.t()),)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs (T, B, O) for features (T, B, F), and the last state."""
        outputs = []
        for x_t in tokens:
            state = self.step(x_t, state)
            outputs.append(state[0])
        return self.decoder(torch.stack(outputs)), state


def tiny_sequences() -> dict[str, Sequences]:
    """Sequences of two features, 5 to 9 steps long: labelled, labelled at every step, with a target."""

    def part(seed: int, count: int, kind: str) -> Part:
        draw = torch.Generator().manual_seed(seed)
        rows = [torch.randn(5 + n % 5, 2, generator=draw) for n in range(count)]
        x, lengths = padded(rows)
        answers: dict[str, list[Tensor]] = {
            "labelled": [torch.tensor(n % 3) for n, _ in enumerate(rows)],
            "labelled_steps": [(row[:, 0] > 0).long() for row in rows],
            "with_target": [row.sum() for row in rows],
        }
        y = answers[kind]
        return Part(x, lengths, padded(y)[0] if y[0].dim() else torch.stack(y))

    def splits(kind: str) -> Sequences:
        train, valid, test = (part(seed, count, kind) for seed, count in enumerate((24, 10, 10)))
        return Sequences(kind, train, valid, test)

    return {kind: splits(kind) for kind in ("labelled", "labelled_steps", "with_target")}


def tiny_arrays(folder: Path, kind: str = "labelled") -> Path:
    """Write tiny sequences as train.npz, valid.npz and test.npz into a folder; returns the folder."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    data = tiny_sequences()[kind]
    for split in ("train", "valid", "test"):
        part: Part = getattr(data, split)
        assert part.y is not None
        path = folder / f"{split}.npz"
        np.savez(path, x=part.x.numpy(), lengths=part.lengths.numpy(), y=part.y.numpy())
    return folder


def tiny_spectrum(
    seed: int = 0, layers: Sequence[int] = (4, 3), sequences: int = 4
) -> LyapunovSpectrum:
    """A made-up spectrum of a contracting stack, its sequences close to each other."""
    draw = torch.Generator().manual_seed(seed)
    size = sum(layers)
    mean = -torch.rand(size, generator=draw, dtype=torch.float64) * 3  # (k,)
    noise = torch.randn(sequences, size, generator=draw, dtype=torch.float64) / 50
    per_sequence = mean + noise  # (B, k)
    owners = torch.tensor([layer for layer, width in enumerate(layers) for _ in range(width)])
    whole = LyapunovSpectrum(
        exponents=per_sequence.mean(0),
        standard_error=per_sequence.std(0) / sequences**0.5,
        drift=torch.zeros(size, dtype=torch.float64),
        per_sequence=per_sequence,
        layers=owners,
        steps=20,
        burn_in=5,
        floored=0,
        floor=1e-12,
        state_kind="hidden",
        protocol="standard",
        dtype="float64",
    )
    return whole.select(torch.arange(sequences))  # in the order that measured ones have


# removal ── plain | other
#         └─ keen ── gamma ∈ [0, 1]
# lr ∈ [1, 100], log;  bptt ∈ {5, …, 9};  sparsity is fixed
MIXED_SPACE = Space(
    (
        Dimension("prune.removal", Values(("plain", "other", {"name": "keen", "limit": 2}))),
        Dimension("prune.removal.gamma", Range(0.0, 1.0), "prune.removal", ("keen",)),
        Dimension("train.lr", Range(1.0, 100.0, log=True)),
        Dimension("train.bptt", Range(5, 9, integer=True)),
        Dimension("prune.sparsity", Values((0.8,))),
    )
)
"""Every kind of dimension, one of which hangs on a choice."""
FINITE_SPACE = Space((Dimension("a", Values(("p", "q"))), Dimension("b", Values((True, 2)))))
"""Four configurations."""


def tiny_history(space: Space = MIXED_SPACE, count: int = 6) -> tuple[Observation, ...]:
    """What a searcher may have seen: measured candidates, one of which failed."""
    draw = random.Random(1)
    return tuple(
        Observation(space.sample(draw), None, failed="diverged")
        if turn == 2
        else Observation(space.sample(draw), 1.0 + draw.random(), 0.01)
        for turn in range(count)
    )


def tiny_comparison(count: int = 5, epochs: int = 3, budget: int = 10) -> Comparison:
    """Made-up candidates after some epochs, beside a dense reference that is known to its end."""
    draw = random.Random(4)

    def curve(start: float, length: int) -> tuple[float, ...]:
        return tuple(start / (1 + 0.2 * epoch) + draw.random() / 20 for epoch in range(length))

    def candidate() -> Progress:
        return Progress(
            train_losses=curve(2.0, epochs),
            valid_losses=curve(2.2, epochs),
            distances=curve(1.0, epochs),
            errors=(0.1,) * epochs,
            noises=(0.05,) * epochs,
            lost=tuple(float(draw.randrange(4)) for _ in range(epochs)),
            exploration=tuple(min(1.0, 0.4 + draw.random() / 2) for _ in range(epochs)),
            configuration=MIXED_SPACE.sample(draw),
        )

    dense = Progress(curve(1.9, budget), curve(2.1, budget))
    return Comparison(
        tuple(candidate() for _ in range(count)), budget, dense, min(dense.valid_losses)
    )


def tiny_recipe(text: Path, *overrides: str) -> Recipe:
    """A recipe on the tiny text in a folder, changed by settings such as `train.lr=2.0`."""
    settings = [f"data.root={inline(str(text))}", *overrides]
    return loads(RECIPE.read_text(encoding="utf-8"), str(RECIPE), settings)


def tiny_run(folder: Path, *overrides: str, observers: Sequence[Observer] = ()) -> RunResult:
    """Carry out the tiny recipe in a new folder, about a second; its text lies in it too."""
    recipe = tiny_recipe(tiny_text(folder / "text"), *overrides)
    return api.run(recipe, folder=folder / "run", observers=observers)


def settings_for(item: Contribution, options: dict[str, Any], text: Path) -> list[str]:
    """Settings that put a contribution in its place in the tiny recipe, with the file it comes from."""
    code = [f"plugins={inline([item.file])}"] if item.file else []
    return code + _place(item, options, text)


def _place(item: Contribution, options: dict[str, Any], text: Path) -> list[str]:
    named = {"name": item.name, **options}
    if item.kind == "observer":
        return []
    if item.kind == "corpus":
        return [f"data={inline({'corpus': item.name, 'root': str(text), **options})}"]
    if item.kind == "preset":
        return [f"prune.preset={inline(item.name)}"]
    if item.kind == "task":
        return [f"task={inline(named)}"]
    section = {
        "model": "model",
        "distance": "spectrum.distance",
        "searcher": "search.searcher",
        "objective": "search.objective",
        "executor": "search.executor",
    }
    return [f"{section.get(item.kind, f'prune.{item.kind}')}={inline(named)}"]
