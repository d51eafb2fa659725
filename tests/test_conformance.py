"""What ships is held to the suites that plugins are held to, and the suites can fail."""

from __future__ import annotations

import enum
import math
import random
import re
from typing import Annotated

import pytest
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from hyperprune.errors import CorpusError, PluginError
from hyperprune.model import StatePart
from hyperprune.plugins import Contribution
from hyperprune.search.space import key_of
from hyperprune.testing import NotTried, check, check_in_run, contributions, verdict

ELSEWHERE = {
    "model": "tests/builtin/models/test_contract.py, at several sizes each",
    "init": "tests/builtin/test_controls.py",
    "removal": "tests/builtin/test_controls.py",
    "growth": "tests/builtin/test_controls.py",
    "redistribution": "tests/builtin/test_controls.py",
    "schedule": "tests/builtin/test_controls.py",
    "preset": "tests/builtin/test_controls.py",
}
"""Kinds whose suite is run, on what ships, by tests that say more beside it."""
DOWNLOADED = ("ptb", "wikitext2")
MARKS = {**dict.fromkeys(DOWNLOADED, pytest.mark.corpus), "ray": pytest.mark.cluster}

SHIPPED = [
    pytest.param(item, marks=MARKS.get(item.name, ()))
    for item in contributions("hyperprune")
    if item.kind not in ELSEWHERE
]


@pytest.mark.parametrize("item", SHIPPED, ids=str)
def test_what_ships(item):
    check(item)


@pytest.mark.slow
@pytest.mark.parametrize(
    "item", [i for i in contributions("hyperprune") if i.name not in MARKS], ids=str
)
def test_what_ships_in_a_run(item):
    check_in_run(item)


def test_every_kind_has_a_suite():
    kinds = {item.kind for item in contributions("hyperprune")}
    assert kinds == set(ELSEWHERE) | {item.values[0].kind for item in SHIPPED}


def contribution(kind, target, name="mine"):
    return Contribution(kind, name, target, "test", "0")


def undocumented(progress, start):
    return start


def untyped(progress, start, *, power=1.0):
    """A rate."""
    return start


def boundless(progress: float, start: float, *, ceiling: float = math.inf) -> float:
    """A schedule."""
    return min(start, ceiling)


class At(enum.StrEnum):
    """A type that no recipe can say, though it can say each of its values."""

    HALF = "half"


def by_class(progress: float, start: float, *, at: At = At.HALF) -> float:
    """A schedule."""
    return start


def wrong_default(progress, start, *, power: Annotated[float, Field(gt=0)] = 0.0):
    """A rate."""
    return start


def too_high(progress, start):
    """A rate."""
    return start + 1


def writes(view):
    """A salience."""
    view.weight.zero_()
    return view.weight


def not_a_number(view):
    """A salience."""
    return view.weight / 0 * 0


def negative(candidate, reference):
    """A distance."""
    return float((candidate.exponents - reference.exponents).sum())


def a_tensor(candidate, reference):
    """A distance."""
    return (candidate.exponents - reference.exponents).norm()


def no_number(candidate, reference):
    """A distance."""
    return float("nan")


def not_zero(candidate, reference):
    """A distance."""
    return 1.0


class Tanh(nn.Module):
    """One tanh layer, to be spoilt."""

    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 6)
        self.cell = nn.RNNCell(6, 6)
        self.decoder = nn.Linear(6, vocabulary)
        self.state_parts = (StatePart(0, "hidden", 6),)

    def initial_state(self, batch):
        return (self.decoder.weight.new_zeros(batch, 6),)

    def step(self, x_t, state):
        x_t = x_t if x_t.is_floating_point() else self.embedding(x_t)
        return (self.cell(x_t, state[0]),)

    def forward(self, tokens, state):
        outputs = []
        for token in tokens:
            state = Tanh.step(self, token, state)
            outputs.append(self.decoder(state[0]))
        return torch.stack(outputs), state


class DropsInStep(Tanh):
    def step(self, x_t, state):
        return tuple(functional.dropout(part, 0.5) for part in super().step(x_t, state))


class DropsInForward(Tanh):
    def forward(self, tokens, state):
        logits, state = super().forward(tokens, state)
        return functional.dropout(logits, 0.5), state


class StepsElsewhere(Tanh):
    def step(self, x_t, state):
        return (super().step(x_t, state)[0] + 0.1,)


class MisnamedGates(Tanh):
    def gates(self):
        return {"cell.weight_h": ("one",)}


class UnfittingGates(Tanh):
    def gates(self):
        return {"cell.weight_hh": ("a", "b", "c", "d")}


class LongGates(Tanh):
    def gates(self):
        return {"cell.weight_hh": {"a": 4, "b": 4}}


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Tanh, None),
        (DropsInStep, "step is random in evaluation mode.*training=self.training"),
        (DropsInForward, "forward is random in evaluation mode.*training=self.training"),
        (StepsElsewhere, "step and forward carry different states: part 0 lies up to 0.2"),
        (MisnamedGates, "gates.. names 'cell.weight_h', which is no parameter .did you mean 'cell"),
        (UnfittingGates, "cell.weight_hh: 4 gates .a, b, c, d. are equal parts.* tensor of 6 rows"),
        (LongGates, "cell.weight_hh: 2 gates .a: 4, b: 4. have 8 rows.* tensor of 6 rows"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_wrong_with_a_network_is_said(network, said):
    def build(vocabulary):
        """One tanh layer."""
        return network(vocabulary)

    found = verdict(contribution("model", build)) if said else None
    if found is None:
        check(contribution("model", build))
    else:
        assert found.state == "failed"
        assert re.search(said, found.reason), found.reason


def scores_twice(compared):
    """An objective."""
    return [1.0] * 2 * len(compared.candidates)


def by_place(compared):
    """An objective."""
    return [float(place) for place, _ in enumerate(compared.candidates)]


def presumes(compared):
    """An objective."""
    return [item.distances[-1] for item in compared.candidates]


def forgetful(space, history, pending, seed):
    """A search."""
    return space.sample(random.Random(seed))


def impure(space, history, pending, seed):
    """A search."""
    tried = {key_of(item.configuration) for item in history} | {key_of(item) for item in pending}
    while key_of(drawn := space.sample(random)) in tried:  # type: ignore[arg-type]
        pass
    return drawn


def outside(space, history, pending, seed):
    """A search."""
    return {"a": "z"}


def deaf(folder):
    """An observer."""


def clumsy(folder):
    """An observer."""
    (folder / "journal.jsonl").write_text("")
    return lambda event: None


def another_text_each_time(root):
    """A text."""
    from hyperprune.corpus import corpus_from_words

    words = [str(random.random()) for _ in range(9)]
    return corpus_from_words("x", words, words, words)


def beyond(root):
    """A text."""
    from hyperprune.corpus import Corpus

    ids = torch.tensor([0, 1, 2])
    return Corpus("x", ("a", "b"), ids, ids, ids)


@pytest.mark.parametrize(
    ("kind", "target", "said"),
    [
        ("schedule", undocumented, "docstring's first line is the help"),
        ("schedule", untyped, "option power has no type"),
        ("schedule", wrong_default, "the default of power is not one of its values"),
        ("schedule", boundless, "the default of ceiling, inf, is nothing that a recipe can say"),
        ("schedule", by_class, "the default of at is not one of its values"),
        ("schedule", too_high, "rate 1.01 at progress 0"),
        ("removal", writes, "a control writes to what it is shown"),
        ("growth", writes, "a control writes to what it is shown"),
        ("distance", negative, "a distance is not negative"),
        ("distance", a_tensor, r"a distance is a float, not Tensor; return float\(…\) of it"),
        ("distance", no_number, "a distance is finite, not nan"),
        ("distance", not_zero, "a spectrum is 1.0 from itself"),
        ("objective", scores_twice, "2 scores for 1 candidates"),
        ("objective", by_place, "where in the list its candidate stands"),
        ("objective", presumes, "index out of range"),
        ("searcher", forgetful, "suggested again"),
        ("searcher", impure, "draws from Python's global generator"),
        ("searcher", outside, "not in the space"),
        ("observer", deaf, "an observer is a function"),
        ("observer", clumsy, "it writes to the run's own files"),
        ("corpus", another_text_each_time, "loading twice gives two different texts"),
        ("corpus", beyond, "has ids beyond the vocabulary"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_breaks_a_contract_fails(kind, target, said):
    with pytest.raises((AssertionError, PluginError, IndexError), match=said):
        check(contribution(kind, target))


def test_salience_that_is_no_number_fails():
    found = verdict(contribution("removal", not_a_number))
    assert found.state == "failed"
    assert found.reason


def test_a_corpus_without_a_text_is_not_tried():
    def absent(root):
        """A text that a person must provide."""
        raise CorpusError("not here")

    with pytest.raises(NotTried):
        check(contribution("corpus", absent))
    assert verdict(contribution("corpus", absent)).state == "not tried"


def test_packages_that_register_nothing_are_told():
    with pytest.raises(PluginError, match=r"'hyperprun' registers nothing here.*hyperprune"):
        contributions("hyperprun")
