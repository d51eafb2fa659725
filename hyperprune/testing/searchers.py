"""The suite that every searcher passes: `check_searcher(mine)`."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch

from hyperprune.search.observation import Observation, SpaceExhausted
from hyperprune.search.space import Configuration, Space, key_of
from hyperprune.testing.tiny import FINITE_SPACE, MIXED_SPACE, tiny_history

Suggest = Callable[..., Configuration]
TURNS = 4


def check_searcher(suggest: Suggest) -> None:
    """Assert that a searcher keeps its contract: in the space, pure, never twice, and ends cleanly."""
    check_in_space(suggest)
    check_pure(suggest)
    check_exhaustion(suggest)


def check_in_space(suggest: Suggest) -> None:
    """Assert that suggestions lie in a mixed conditional space, from no history and from some."""
    history: list[Observation] = list(tiny_history())
    for seen in ([], history):
        pending: list[Configuration] = []
        for _ in range(TURNS):
            configuration = suggest(MIXED_SPACE, tuple(seen), tuple(pending), 3)
            assert MIXED_SPACE.contains(configuration), f"not in the space: {configuration}"
            tried = {key_of(item.configuration) for item in seen} | {key_of(c) for c in pending}
            assert key_of(configuration) not in tried, f"suggested again: {configuration}"
            pending.append(configuration)


def check_pure(suggest: Suggest) -> None:
    """Assert that the answer follows from the arguments, which it leaves alone, and moves no seed."""
    history, pending = tiny_history(), [MIXED_SPACE.sample(random.Random(9))]
    keys = [key_of(item.configuration) for item in history] + [key_of(item) for item in pending]
    random.seed(1)
    torch.manual_seed(1)
    state: tuple[Any, Any] = (random.getstate(), torch.get_rng_state())
    first = suggest(MIXED_SPACE, history, pending, 5)
    assert random.getstate() == state[0], "it draws from Python's global generator"
    assert torch.equal(torch.get_rng_state(), state[1]), "it draws from torch's global generator"
    random.seed(2)
    torch.manual_seed(2)
    assert key_of(suggest(MIXED_SPACE, history, pending, 5)) == key_of(first), (
        "equal arguments get different answers; make every draw from the seed"
    )
    after = [key_of(item.configuration) for item in history] + [key_of(item) for item in pending]
    assert after == keys, "it writes to what it is shown"


def check_exhaustion(suggest: Suggest, space: Space = FINITE_SPACE) -> None:
    """Assert that a finite space is walked without repetition, and then SpaceExhausted is raised."""
    history: list[Observation] = []
    size = space.size
    assert size is not None
    for turn in range(size):
        configuration = suggest(space, tuple(history), (), 7)
        assert space.contains(configuration), f"not in the space: {configuration}"
        tried = {key_of(item.configuration) for item in history}
        assert key_of(configuration) not in tried, f"suggested again: {configuration}"
        history.append(Observation(configuration, float(turn)))
    try:
        again = suggest(space, tuple(history), (), 7)
    except SpaceExhausted:
        return
    raise AssertionError(f"everything was tried, yet it suggests {again}; raise SpaceExhausted")
