"""Whatever a searcher, a space and candidates do, a search goes on or ends in words.

The fuzzer replays made-up tables through the real stages: short here, a thousand under `soak`.
"""

import random
import time
from dataclasses import replace

import pytest
from replayed import Table, notices, search

from hyperprune.judgement import verdict
from hyperprune.judgement.judge import Judge
from hyperprune.pipeline import run as pipeline
from hyperprune.plugins import Contribution, registry
from hyperprune.runtime.patience import patient
from hyperprune.search.draw import repeats
from hyperprune.search.observation import SpaceExhausted
from hyperprune.search.space import key_of
from hyperprune.store import atomic

BASE = """
[data]
corpus = "text"
root = "{root}"
[model]
name = "rnn"
hidden = 4
layers = 1
[train]
epochs = 6
batch = 4
eval_batch = 2
bptt = 5
threads = 1
device = "cpu"
[rounds]
epochs = 1
[spectrum]
sequences = 2
steps = 6
"""
SEARCH = """
[search]
searcher = {searcher}
objective = "{objective}"
candidates = {candidates}
default_first = {first}
[space]
{space}
"""


@pytest.fixture(autouse=True)
def no_verdict_and_no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(pipeline, "conclude", lambda *_, **__: None)
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr(pipeline, "look_at_disk", lambda *_, **__: None)
    assert verdict.conclude is not None
    assert atomic.sync is not None


@pytest.fixture
def base(toy_text):
    return BASE.format(root=toy_text)


def recipe(base, space, *, searcher='"random"', objective="loss", candidates=5, first="false"):
    return base + SEARCH.format(
        searcher=searcher, objective=objective, candidates=candidates, first=first, space=space
    )


@pytest.fixture
def install(monkeypatch):
    """Register a searcher as a stranger's package would."""

    def register(suggest, name="strange"):
        known = dict(registry().contributions)
        known["searcher", name] = Contribution("searcher", name, suggest, "stranger", "1")
        monkeypatch.setattr(registry(), "contributions", known)
        return f'"{name}"'

    return register


def always(answer):
    def strange(space, history, pending, seed):
        """A searcher of one idea."""
        return answer

    return strange


def raising(error):
    def strange(space, history, pending, seed):
        """A searcher that cannot."""
        raise error

    return strange


SPACE = "removal_rate = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]\n"


@pytest.mark.parametrize(
    ("suggest", "said"),
    [
        (raising(ValueError("no idea")), "raised ValueError: no idea"),
        (raising(SystemExit(3)), "raised SystemExit: 3"),
        (raising(BaseExceptionGroup("x", [KeyError(1)])), "raised ExceptionGroup"),
        (always(None), "it returned NoneType"),
        (always([("prune.removal_rate", 0.1)]), "it returned list"),
        (always({"prune.removal_rate": 0.15}), "lies outside"),
        (always({"prune.removal_rate": float("nan")}), "lies outside"),
        (always({"prune.removal_rate": object()}), "lies outside"),
        (always({1: 2}), "lies outside"),
        (always({}), "lies outside"),
    ],
)
def test_a_searcher_that_fails_is_named_and_random_takes_its_place(
    base, tmp_path, install, suggest, said
):
    name = install(suggest)
    run, seen, error = search(recipe(base, SPACE, searcher=name), tmp_path / "run", Table(1, 0))
    assert error is None
    assert len(run.proposed()) == 5
    assert not repeats(run.proposed())
    told = [message for message in notices(seen) if "searcher 'strange' of stranger" in message]
    assert len(told) == 5
    assert "has no configuration for c000" in told[0]
    assert said in told[0]


def test_a_searcher_that_hangs_is_waited_for_once(base, tmp_path, install):
    asked = []

    def strange(space, history, pending, seed):
        """A searcher that never answers."""
        asked.append(seed)
        time.sleep(20)

    text = recipe(base, SPACE, searcher=install(strange))
    with patient(0.3):
        run, seen, error = search(text, tmp_path / "run", Table(1, 0))
    assert error is None
    assert len(run.proposed()) == 5
    assert len(asked) == 1
    told = [message for message in notices(seen) if "searcher 'strange' of stranger" in message]
    assert len(told) == 5
    assert all("said nothing for 0.3 s (search.silence), and is not asked again" in m for m in told)


def test_one_bad_suggestion_is_asked_for_again(base, tmp_path, install):
    def strange(space, history, pending, seed):
        """A searcher that one seed does not suit."""
        if seed % 2:
            raise ValueError("an odd seed")
        return space.sample(random.Random(f"{seed}/{len(history) + len(pending)}"))

    run, _, error = search(
        recipe(base, "removal_rate = { low = 0.1, high = 0.9 }", searcher=install(strange)),
        tmp_path / "run",
        Table(1, 0),
    )
    assert error is None
    assert len(run.proposed()) == 5


def test_what_is_proposed_again_is_not_trained_again(base, tmp_path, install):
    """c001 and c003 repeat c000 and c002: three networks are trained, five candidates count."""
    plan = iter([0.1, 0.1, 0.2, 0.2, 0.3] * 9)

    def strange(space, history, pending, seed):
        """A searcher that says all twice."""
        return {"prune.removal_rate": [0.1, 0.1, 0.2, 0.2, 0.3][len(history) + len(pending)]}

    assert next(plan) == 0.1
    table = Table(1, 0)
    run, seen, error = search(
        recipe(base, SPACE, searcher=install(strange)), tmp_path / "run", table
    )
    assert error is None
    assert repeats(run.proposed()) == {"c001": "c000", "c003": "c002"}
    assert not (tmp_path / "run" / "c001").exists()
    assert set(table.trained.values()) == {1}
    told = notices(seen)
    assert "c003 is c002 again, whose result counts for both" in told
    assert any("proposed 2 of 5 candidates again" in message for message in told)
    before = run.journal.path.read_bytes()
    again, _, error = search(recipe(base, SPACE, searcher='"strange"'), tmp_path / "run", table)
    assert error is None
    assert again.journal.path.read_bytes() == before
    assert set(table.trained.values()) == {1}


@pytest.mark.parametrize("goal", ["perplexity", "smallest"])
def test_nothing_is_made_again_for_every_proposal(base, tmp_path, monkeypatch, goal):
    """A candidate's course until an epoch, and its size, are made once: a driver's work is linear."""
    made = []

    def noted(name):
        own = getattr(Judge, name)

        def note(judge, outcome, *others):
            made.append((name, outcome.candidate, *(others[:1] or [len(outcome.epochs)])))
            return own(judge, outcome, *others)

        return note

    for name in ("_progress", "_size"):
        monkeypatch.setattr(Judge, name, noted(name))
    text = recipe(base, "sparsity = { low = 0.1, high = 0.9 }", candidates=20)
    text = text.replace("[search]", f'[search]\ngoal = "{goal}"')
    run, _, error = search(text, tmp_path / "run", Table(1, 0))
    assert error is None
    assert len(run.proposed()) == 20
    assert len(made) == len(set(made))
    assert {name for name, *_ in made} == {"_progress"} | (
        {"_size"} if goal == "smallest" else set()
    )


def test_a_searcher_that_is_done_at_once_is_told_from_candidates_that_failed(
    base, tmp_path, install
):
    name = install(raising(SpaceExhausted("done")))
    _, _, error = search(recipe(base, SPACE, searcher=name), tmp_path / "run", Table(1, 0))
    assert "the searcher proposed no candidate" in str(error)


@pytest.mark.parametrize(
    "space",
    [
        "weight_decay = { low = 1e-8, high = 1e-5, log = true }",
        "weight_decay = { low = 0.0, high = 1e-12 }",
        "lr = { low = 1.0, high = 1.0000000001 }",
        "lr = { low = 1e-90, high = 1e90, log = true }",
        "lr = { low = 1.0, high = 1e90 }",
        "bptt = { low = 5, high = 1000000 }",
        "weight_decay = [1e-80, 1e-40, 1, 2.0, 1e40]",
    ],
)
def test_bayesian_optimisation_takes_ranges_of_every_width(base, tmp_path, space):
    text = recipe(base, space, searcher="{ name = 'ax', initial = 2 }", candidates=5)
    run, seen, error = search(text, tmp_path / "run", Table(2, 0))
    assert error is None
    assert not [message for message in notices(seen) if "random one" in message]
    assert len({key_of(item) for item in run.proposed().values()}) == 5


# ── the fuzzer ────────────────────────────────────────────────────────────────────────────────────


def some_space(rng):
    """Lines of a space: ranges of any width, lists of any length, options that hang on a choice."""
    lines = {}
    for _ in range(rng.randrange(1, 6)):
        kind = rng.randrange(6)
        if kind == 0:
            low = 10 ** rng.uniform(-40, 3)
            high = low * (1 + 10 ** rng.uniform(-13, 20))
            lines["weight_decay"] = (
                f"{{ low = {low!r}, high = {high!r}, log = {rng.choice(['true', 'false'])} }}"
            )
        elif kind == 1:
            low = rng.uniform(0, 0.9)
            lines["removal_rate"] = (
                f"{{ low = {low!r}, high = {low + 10 ** rng.uniform(-12, -1.1)!r} }}"
            )
        elif kind == 2:
            values = sorted({rng.randrange(5, 500) for _ in range(rng.randrange(1, 9))})
            lines["bptt"] = str(values)
        elif kind == 3:
            names = rng.sample(
                ["'magnitude'", "'random'", "'mest'", "{ name = 'mest', gamma = 0.5 }"],
                rng.randrange(1, 4),
            )
            if sum("mest" in name for name in names) < 2:
                lines["removal"] = f"[{', '.join(names)}]"
                lines.pop("prune.removal.gamma", None)  # of a list that this one replaces
                if "'mest'" in names and rng.random() < 0.5:
                    lines["prune.removal.gamma"] = "{ low = 0.1, high = 2.0 }"
        elif kind == 4:
            lines["variable_bptt"] = rng.choice(["true", "[true, false]"])
        else:
            lines["lr"] = f"{{ low = 1, high = {rng.choice([2, 3, 10**6])}, log = true }}"
    return "\n".join(
        f"{key if '.' not in key else repr(key)} = {value}" for key, value in lines.items()
    )


def strange_searcher(rng):
    """A searcher that mixes sense with every kind of nonsense."""
    kinds = [rng.randrange(8) for _ in range(3)]

    def strange(space, history, pending, seed):
        """Anything."""
        draw = random.Random(f"{seed}/{len(history) + len(pending)}")
        match draw.choice(kinds):
            case 0:
                raise draw.choice(
                    [ValueError("x"), SystemExit(1), GeneratorExit(), OSError(5, "y")]
                )
            case 1:
                raise SpaceExhausted("done")
            case 2 if history:
                return dict(draw.choice(history).configuration)
            case 3:
                return draw.choice([None, 7, "c", [], {}, {"a": 1}, {"prune.removal_rate": 99}])
            case 4:
                return {**space.sample(draw), "title": "x"}
        return space.sample(draw)

    return strange


def fuzz(base, tmp_path, install, seeds, *, ax):
    internal = []
    for seed in seeds:
        rng = random.Random(seed)
        chosen = {"random": '"random"', "ax": "{ name = 'ax', initial = 2 }"}
        name = rng.choice(["random", "strange"]) if not ax else "ax"
        chosen["strange"] = install(strange_searcher(rng))
        text = recipe(
            base,
            some_space(rng),
            searcher=chosen[name],
            objective=rng.choice(["loss", "distance", "both"]),
            candidates=rng.choice([2, 3, 7]),
            first=rng.choice(["true", "false"]),
        )
        table = Table(seed, rng.choice([0, 0.3, 0.9, 1.0]))
        folder = tmp_path / f"{seed}"
        try:
            run, _, error = search(text, folder, table)
            again, _, other = search(text, folder, table)  # resumed: the same end
        except Exception as caught:  # an internal error
            internal.append((seed, repr(caught), text))
            continue
        assert str(error) == str(other), (seed, text)
        assert again.journal.records == run.journal.records
        if error is not None:
            assert "failed" in str(error) or "nothing to try" in str(error), (seed, error)
    assert not internal, internal[:3]


def test_no_space_searcher_or_failure_ends_a_search_without_words(base, tmp_path, install):
    fuzz(base, tmp_path, install, range(40), ax=False)


def test_bayesian_optimisation_meets_odd_spaces(base, tmp_path, install):
    fuzz(base, tmp_path, install, range(1000, 1003), ax=True)


@pytest.mark.soak
def test_a_thousand_tables(base, tmp_path, install):
    fuzz(base, tmp_path, install, range(2000, 2900), ax=False)
    fuzz(base, tmp_path, install, range(2900, 3000), ax=True)


def test_the_registry_is_as_it_was():
    assert ("searcher", "strange") not in registry().contributions
    assert replace(registry().get("searcher", "random")).package == "hyperprune"
