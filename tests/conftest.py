"""What every test stands on: only built-in plugins, a cache of its own, one torch thread."""

import os
import shutil
import tempfile

os.environ["HYPERPRUNE_AUTOLOAD"] = "0"  # installed plugins must not change a test
# What fixtures of a whole module train is shared with no earlier version of the code.
os.environ["HYPERPRUNE_CACHE"] = tempfile.mkdtemp()

import pytest

SHARED = os.environ["HYPERPRUNE_CACHE"]


LONG = ("test_scaffold.py", "test_search.py")


def pytest_collection_modifyitems(items):
    """Files of long tests first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_unconfigure():
    """Leave nothing behind."""
    shutil.rmtree(SHARED, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No dense reference is shared between tests, or with the person who runs them."""
    assert os.environ.get("HYPERPRUNE_CACHE"), "a fixture has taken the suite's cache away"
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The machine's cores must not show in results."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_text(tmp_path_factory):
    """A folder of text that a tiny network learns something from: 40 words, each fond of one next."""
    import random

    folder = tmp_path_factory.mktemp("toy_text")
    draw = random.Random(7)
    for split, lines in (("train", 60), ("valid", 20), ("test", 20)):
        words, word = [], 0
        for _ in range(lines * 10):
            word = (word * 3 + 1) % 40 if draw.random() < 0.8 else draw.randrange(40)
            words.append(f"w{word}")
        rows = (" ".join(words[i : i + 10]) for i in range(0, len(words), 10))
        (folder / f"{split}.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def toy_recipe(toy_text, tmp_path):
    """A whole search that takes about a second: 4 candidates, 3 + 1 epochs, 2 finalists to 5."""
    path = tmp_path / "toy.toml"
    path.write_text(f"""
title = "toy"
[data]
corpus = "text"
root = {str(toy_text)!r}
[model]
name = "stacked_lstm"
hidden = 8
layers = 1
dropout = 0.1
init_range = 0.3
[train]
epochs = 5
lr = 5.0
batch = 8
eval_batch = 4
bptt = 10
threads = 1
[prune]
sparsity = 0.5
[space]
init = ["uniform", "er"]
removal = ["magnitude", "random"]
removal_rate = [0.3, 0.5, 0.7]
[spectrum]
sequences = 2
burn_in = 2
steps = 5
[search]
searcher = "random"
candidates = 4
[rounds]
first = 3
epochs = 1
""")
    return path
