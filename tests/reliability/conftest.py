"""One zygote for all sittings, the bits of a run that nothing happened to, and the tally of a soak."""

import shutil
import time
from collections import Counter
from typing import NamedTuple

import pytest
from sittings import Zygote, contents


class Undisturbed(NamedTuple):
    contents: dict[str, bytes]
    seconds: float


TALLY = pytest.StashKey[Counter]()


def pytest_configure(config):
    config.stash[TALLY] = Counter()


@pytest.fixture(scope="session")
def tally(pytestconfig):
    """Counts of what was survived; shown at the end."""
    return pytestconfig.stash[TALLY]


def pytest_terminal_summary(terminalreporter, config):
    counts = config.stash[TALLY]
    if counts:
        said = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
        failed = len(terminalreporter.stats.get("failed", ()))
        terminalreporter.write_line(f"reliability: {said}; failures: {failed}")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("sittings_cache")


@pytest.fixture(scope="session")
def zygote(cache):
    started = Zygote(cache)
    yield started
    started.close()


@pytest.fixture
def fresh_cache(cache):
    """Call it to forget every dense reference."""

    def renew():
        for item in cache.iterdir():
            shutil.rmtree(item)

    renew()
    return renew


@pytest.fixture(scope="session")
def undisturbed(zygote, session_recipe, tmp_path_factory):
    """A run that nothing happened to: the bits that all others must have, and how long it took."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    begun = time.perf_counter()
    end = zygote.sit(folder, session_recipe)
    assert end.code == 0, end.message
    return Undisturbed(contents(folder), time.perf_counter() - begun)


@pytest.fixture(scope="session")
def session_recipe(toy_text, tmp_path_factory):
    """A search in about a second that has all there is to lose.

    Averages that begin, a threshold that moves, averaged gradients, drawn segments, candidates that
    diverge at once, and three rounds: 6 candidates to epoch 3, 3 to 4, 2 to 5, 1 finalist to 6.
    """
    path = tmp_path_factory.mktemp("recipe") / "toy.toml"
    path.write_text(RECIPE.format(root=str(toy_text)))
    return path


RECIPE = """
title = "toy"
[data]
corpus = "text"
root = {root!r}
[model]
name = "stacked_lstm"
hidden = 8
layers = 1
dropout = 0.1
init_range = 0.3
[train]
epochs = 6
clip = 0.0
batch = 8
eval_batch = 4
bptt = 10
variable_bptt = true
nonmono = 1
threads = 1
[prune]
sparsity = 0.5
growth = "momentum"
[space]
lr = [5.0, 20.0, 1e30]
removal = ["magnitude", "threshold"]
removal_rate = {{ low = 0.3, high = 0.7 }}
[spectrum]
sequences = 2
burn_in = 2
steps = 5
[search]
searcher = "random"
default_first = false
candidates = 6
[rounds]
first = 3
epochs = 1
[final]
finalists = 1
"""
