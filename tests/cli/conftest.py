import sys

import pytest

from hyperprune import cli


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def hyperprune(capsys, monkeypatch):
    """Call the command line as a person would; answers with exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("HYPERPRUNE_DEBUG", raising=False)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hyperprune", *map(str, words)])
        try:
            code = cli.main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return Result(code or 0, captured.out, captured.err)

    return call


RECIPE = """
title = "tiny"
[data]
corpus = "text"
root = "{root}"
vocabulary = 12
[model]
name = "stacked_lstm"
embedding = 4
hidden = 4
layers = 1
dropout = 0.0
[train]
epochs = 4
lr = 1.0
batch = 4
eval_batch = 2
bptt = 5
threads = 1
[prune]
sparsity = 0.5
[space]
init = ["uniform", "er"]
removal = ["magnitude", "set"]
removal_rate = [0.3, 0.5]
[spectrum]
sequences = 2
burn_in = 2
steps = 6
[search]
searcher = "random"
candidates = 3
[rounds]
first = 3
epochs = 1
[final]
finalists = 2
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A recipe that runs in a second: 3 candidates, 4 epochs, a network of a few hundred weights."""
    folder = tmp_path_factory.mktemp("tiny")
    for name, lines in (("train", 60), ("valid", 20), ("test", 20)):
        text = "".join(f"the {'ab'[i % 2]} sees {'cde'[i % 3]} now\n" for i in range(lines))
        (folder / f"{name}.txt").write_text(text)
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(root=folder))
    return path


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory):
    """The folder of a finished run."""
    from hyperprune.pipeline import run as api

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return api.run(tiny, folder=tmp_path_factory.mktemp("runs") / "tiny").folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "cache"))
