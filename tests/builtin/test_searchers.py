import itertools
import json
import math
import os
import statistics
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune.builtin.searchers import SEARCHERS
from hyperprune.builtin.searchers.bayesian import neighbours
from hyperprune.search.goal import Point, ordered
from hyperprune.search.observation import Observation, SpaceExhausted
from hyperprune.search.space import Dimension, Range, Space, Values, key_of

# removal ── magnitude | set
#         └─ mest ── gamma ∈ [0, 1]
# growth  ── random | gradient;  lr ∈ [1, 100], log;  bptt ∈ {5, …, 9};  sparsity is fixed
MIXED = Space(
    (
        Dimension("prune.removal", Values(("magnitude", "set", {"name": "mest", "limit": 2}))),
        Dimension("prune.removal.gamma", Range(0.0, 1.0), "prune.removal", ("mest",)),
        Dimension("prune.growth", Values(("random", "gradient"))),
        Dimension("train.lr", Range(1.0, 100.0, log=True)),
        Dimension("train.bptt", Range(5, 9, integer=True)),
        Dimension("prune.sparsity", Values((0.8,))),
    )
)
FINITE = Space((Dimension("a", Values(("p", "q", "r"))), Dimension("b", Values((0.4, 0.5, 0.6)))))


def loss(configuration) -> float:
    """Least at growth = gradient, lr = 20, bptt = 7."""
    return (
        0.5 * (configuration["prune.growth"] == "random")
        + abs(math.log10(configuration["train.lr"] / 20.0))
        + 0.1 * abs(configuration["train.bptt"] - 7)
        + 0.3 * (configuration["prune.removal"] == "set")
    )


def search(name: str, space: Space, objective, turns: int, seed: int) -> list[Observation]:
    """Ask and tell one by one; every seventh candidate fails."""
    history: list[Observation] = []
    for turn in range(turns):
        configuration = SEARCHERS[name](space, history, [], seed)
        if turn % 7 == 3:
            history.append(Observation(configuration, None, failed="diverged"))
        else:
            history.append(Observation(configuration, objective(configuration), 0.01))
    return history


@pytest.mark.parametrize("name", SEARCHERS)
def test_suggestions_lie_in_a_mixed_conditional_space_and_never_repeat(name):
    history = search(name, MIXED, loss, 12, seed=3)
    assert all(MIXED.contains(item.configuration) for item in history)
    assert len({key_of(item.configuration) for item in history}) == 12


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_finite_space_is_tried_whole_then_exhausted(name):
    def objective(configuration):
        return configuration["b"] + "pqr".index(configuration["a"])

    history = search(name, FINITE, objective, 9, seed=0)
    assert {key_of(item.configuration) for item in history} == {
        key_of(item) for item in FINITE.enumerate()
    }
    with pytest.raises(SpaceExhausted):
        SEARCHERS[name](FINITE, history, [], 0)


@pytest.mark.parametrize("name", SEARCHERS)
def test_what_is_pending_is_not_suggested_again(name):
    everything = list(FINITE.enumerate())
    history = [Observation(item, item["b"]) for item in everything[:4]]
    suggest = SEARCHERS[name]
    options = {"initial": 2} if name == "ax" else {}
    assert suggest(FINITE, history, everything[4:8], 1, **options) == everything[8]


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_search_in_which_all_fail_goes_on(name):
    history: list[Observation] = []
    for _ in range(9):
        configuration = SEARCHERS[name](FINITE, history, [], 2)
        history.append(Observation(configuration, None, failed="raised"))
    assert len({key_of(item.configuration) for item in history}) == 9


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.0, 2.0, 1e9], [0.0, 1e-12, 2e-12]])
def test_ax_bears_flat_extreme_and_tiny_objectives(values):
    everything = list(FINITE.enumerate())
    history = [Observation(c, v) for c, v in zip(everything, values, strict=False)]
    found = SEARCHERS["ax"](FINITE, history, [], 5, initial=2)
    assert FINITE.contains(found)
    assert found not in everything[:3]


def measured(space, turns, bound, measure):
    """A search in which quality and size both count."""
    history: list[Observation] = []
    for _ in range(turns):
        points = [item.point for item in history]
        places = {index: float(n) for n, index in enumerate(ordered(points, bound))}
        told = [replace(item, value=places[n]) for n, item in enumerate(history)]
        drawn = SEARCHERS["ax"](space, told, [], 3, initial=5)
        history.append(Observation(drawn, 0.0, point=measure(drawn), bound=bound))
    return history


SPARSITY = Space((Dimension("s", Values(tuple(k / 20 for k in range(20)))),))


def test_ax_looks_for_the_smallest_within_a_bound():
    # Quality falls from 1 with s⁴: within 1.5 up to s = 0.84, so 0.8 is the best of the list.
    found = measured(SPARSITY, 10, 1.5, lambda c: Point(1 + c["s"] ** 4, 1 - c["s"]))
    within = [item.configuration["s"] for item in found if item.point.score <= 1.5]
    assert max(within) == 0.8


def test_ax_looks_for_the_frontier():
    # All lie on it, so a good search leaves no wide gap.
    found = measured(SPARSITY, 9, None, lambda c: Point(c["s"] ** 2, 1 - c["s"]))
    tried = sorted(item.configuration["s"] for item in found)
    assert len(tried) == len(set(tried)) == 9
    assert max(b - a for a, b in itertools.pairwise([0, *tried, 0.95])) <= 0.25


@pytest.mark.parametrize("bound", [None, 1.5])
def test_ax_weighs_two_things_while_others_train_and_compiles_nothing(bound, monkeypatch):
    from torch.utils import cpp_extension

    compiled: list[str] = []
    monkeypatch.setattr(cpp_extension, "load", lambda name, **_: compiled.append(name))
    words = Space((SPARSITY.dimensions[0], Dimension("w", Values(("a", "b", "c")))))
    history = [
        Observation({"s": s, "w": w}, float(k), point=Point(1 + s, 1 - s), bound=bound)
        for k, (s, w) in enumerate([(0.2, "a"), (0.5, "b"), (0.8, "c")])
    ]
    pending = [{"s": 0.3, "w": "c"}, {"s": 0.9, "w": "a"}]
    first, again = (SEARCHERS["ax"](words, history, pending, 4, initial=2) for _ in range(2))
    assert first == again
    assert words.contains(first)
    assert first not in pending
    assert compiled == []


def test_ax_leaves_the_neighbourhood_of_failures_alone():
    line = Space((Dimension("x", Range(0.0, 1.0)),))
    measured = [Observation({"x": x}, 1.0 + 0.1 * x, 0.01) for x in (0.1, 0.2, 0.3)]
    failed = [Observation({"x": x}, None, failed="diverged") for x in (0.7, 0.8, 0.9)]
    # Nothing but the failures argues against the right half; the left slopes down gently to 0.
    assert SEARCHERS["ax"](line, measured + failed, [], 1, initial=2)["x"] < 0.5


def test_the_start_is_even_whatever_the_results():
    line = Space((Dimension("x", Range(0.0, 1.0)),))
    history: list[Observation] = []
    for turn in range(8):
        drawn = SEARCHERS["ax"](line, history, [], 11)
        history.append(Observation(drawn, float(turn)))
    # A scrambled Sobol sequence puts one of its first eight points into each eighth of the line.
    assert sorted(int(8 * item.configuration["x"]) for item in history) == list(range(8))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.2, 0.0125]))
def test_neighbours_lie_in_the_space(seed, step):
    import random

    rng = random.Random(seed)
    start = MIXED.sample(rng)
    assert all(MIXED.contains(item) for item in neighbours(MIXED, start, step, rng))


SCRIPT = """
import json, sys
from tests.builtin.test_searchers import MIXED, loss, search
history = search(sys.argv[1], MIXED, loss, 12, seed=7)
print(json.dumps([item.configuration for item in history]))
"""


@pytest.mark.parametrize("name", SEARCHERS)
def test_another_process_with_other_threads_suggests_the_same(name):
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "5"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, name],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stderr == ""  # Ax and its dependencies keep quiet
    here = [item.configuration for item in search(name, MIXED, loss, 12, seed=7)]
    assert json.loads(done.stdout) == here


def test_ax_suggests_without_moving_anyone_elses_random_numbers():
    import random

    import torch

    history = search("random", MIXED, loss, 9, seed=1)
    random.seed(4)
    torch.manual_seed(4)
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads()
    SEARCHERS["ax"](MIXED, history, [], 1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.get_num_threads()) == before[1:]


def test_one_module_imports_ax_and_uses_no_private_name_of_it():
    from pathlib import Path

    import hyperprune

    root = Path(hyperprune.__file__).parent
    importers = [
        p.name
        for p in root.rglob("*.py")
        if " ax." in p.read_text() and "from ax." in p.read_text()
    ]
    assert importers == ["ax_model.py"]
    source = (root / "builtin" / "searchers" / "ax_model.py").read_text()
    assert "adapter._" not in source
    assert "experiment._" not in source


@pytest.mark.slow
def test_ax_beats_random_on_a_function_it_can_model():
    def best(name: str, seed: int) -> float:
        history = search(name, MIXED, loss, 24, seed)
        return min(item.value for item in history if item.value is not None)

    seeds = range(8)
    ax = [best("ax", seed) for seed in seeds]
    random = [best("random", seed) for seed in seeds]
    assert statistics.median(ax) < statistics.median(random)
    assert sum(a < r for a, r in zip(ax, random, strict=True)) >= 6
