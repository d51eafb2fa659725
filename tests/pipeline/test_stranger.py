"""A stranger's afternoon: a folder of text, one file with a network nobody knows, and a recipe.

From there to a table of three presets × three seeds in LaTeX, stopped half-way, on workers.
"""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from scipy import stats

import hyperprune
from hyperprune import events
from hyperprune.cli import app
from hyperprune.errors import Stopped
from hyperprune.plugins import use
from hyperprune.testing import tiny_text

NETWORK = '''
"""A gated recurrent unit that forgets by the square of its gate: mine alone."""

import torch
from torch import nn

from hyperprune import hookimpl
from hyperprune.model import RecurrentLM, StatePart


class SquareGRU(RecurrentLM):
    def __init__(self, vocabulary, hidden):
        super().__init__()
        self.state_parts = (StatePart(0, "hidden", hidden),)
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.inward = nn.Linear(hidden, 2 * hidden)
        self.recurrent = nn.Linear(hidden, 2 * hidden, bias=False)
        self.decoder = nn.Linear(hidden, vocabulary)

    def step(self, x_t, state):
        x = x_t if x_t.is_floating_point() else self.embedding(x_t)
        (h,) = state  # (B, H)
        gate, new = (self.inward(x) + self.recurrent(h)).chunk(2, dim=1)
        keep = torch.sigmoid(gate) ** 2
        return (keep * h + (1 - keep) * torch.tanh(new),)

    def forward(self, tokens, state):
        outputs = []
        for x_t in self.embedding(tokens):
            state = self.step(x_t, state)
            outputs.append(state[0])
        return self.decoder(torch.stack(outputs)), state


def square_gru(vocabulary: int, *, hidden: int = 8) -> nn.Module:
    """A GRU that forgets by the square of its gate."""
    return SquareGRU(vocabulary, hidden)


@hookimpl
def hyperprune_models():
    return {"square_gru": square_gru}
'''
RECIPE = """\
title = "mine"
plugins = ["my_gru.py"]
seeds = 3
model.name = "square_gru"
prune.sparsity = 0.5
data = { corpus = "text", root = "text" }
train = { epochs = 2, lr = 1.0, batch = 4, eval_batch = 2, bptt = 10, threads = 1 }
spectrum = { sequences = 2, steps = 10 }
[[arms]]
name = "set"
prune.preset = "set"
[[arms]]
name = "rigl"
prune.preset = "rigl"
[[arms]]
name = "snfs"
prune.preset = "snfs"
"""
assert len(RECIPE.splitlines()) < 18
SAME = ("result.json", "journal.jsonl", "winner/weights.safetensors", "c001-s3/best.safetensors")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    tiny_text(tmp_path / "text")
    (tmp_path / "my_gru.py").write_text(NETWORK)
    (tmp_path / "study.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    use([])


def said(*words, capsys):
    app([str(word) for word in words], standalone_mode=False)
    return capsys.readouterr().out


def stopper(after):
    """An observer that stops a run like Ctrl-C once so many epochs are done."""
    seen = []

    def observe(event):
        if isinstance(event, events.EpochFinished):
            seen.append(event)
            if len(seen) == after:
                signal.raise_signal(signal.SIGINT)

    return observe


def test_three_presets_from_three_seeds_stopped_and_resumed_to_a_table_in_latex(folder, capsys):
    whole = hyperprune.run("study.toml", folder="whole")
    use([])
    begin = partial(hyperprune.run, "study.toml", folder="stopped")
    go_on = partial(hyperprune.resume, "stopped")
    for sitting, epochs in ((begin, 5), (go_on, 9)):  # among the first seeds, among the others
        with pytest.raises(Stopped):
            sitting(observers=[stopper(epochs)])
        shown = said("show", "stopped", "--format", "csv", capsys=capsys).splitlines()
        assert [line.split(",")[0] for line in shown[1:]] == ["dense", "set", "rigl", "snfs"]
        use([])
    hyperprune.resume("stopped")
    for name in SAME:
        assert (folder / "stopped" / name).read_bytes() == (folder / "whole" / name).read_bytes()

    assert [arm.name for arm in whole.arms] == ["dense", "set", "rigl", "snfs"]
    for arm in whole.arms:
        assert [item.seed for item in arm.trainings] == [1, 2, 3]
        assert {item.epochs for item in arm.trainings} == {2}
        for item in arm.trainings[: 3 if arm.name != "dense" else 0]:
            assert item.active == round(0.5 * item.masked)
    table = said("show", "whole", "--format", "latex", capsys=capsys)
    assert table.count(r"\\") == 5  # heads, dense, three presets
    found = json.loads(said("show", "whole", "--format", "json", capsys=capsys))
    rigl, dense = ([*whole.arms[k].values("valid").values()] for k in (2, 0))
    assert f"{stats.tmean(rigl):.2f} $\\pm$ {stats.tstd(rigl):.2f}" in table
    held = stats.ttest_rel(rigl, dense).confidence_interval(0.95)
    (shown,) = (item["valid_difference"] for item in found if item["name"] == "rigl")
    assert (shown["low"], shown["high"]) == (pytest.approx(held.low), pytest.approx(held.high))


def test_one_seed_has_no_interval_and_workers_change_nothing(folder, capsys):
    alone = hyperprune.run("study.toml", overrides=["seeds=1"], folder="alone")
    use([])
    beside = hyperprune.run(
        "study.toml", overrides=["seeds=1", "search.workers=2"], folder="beside"
    )
    assert beside.to_json() == alone.to_json()
    shown = said("show", "alone", capsys=capsys)
    assert "±" not in shown.replace("mean ± standard deviation", "")
    assert "One seed: there is no spread and no interval" in shown


@pytest.mark.slow
def test_killed_on_workers_and_resumed_to_the_bit(folder):
    hyperprune.run("study.toml", overrides=["search.workers=2"], folder="whole")
    command = [sys.executable, "-m", "hyperprune"]
    words = ["run", "study.toml", "-o", "killed", "--workers", "2", "-q"]
    for sitting in range(3):
        process = subprocess.Popen([*command, *words], start_new_session=True)
        journal, before = Path("killed/journal.jsonl"), -1
        lines = 0
        while process.poll() is None and lines < 4 * (sitting + 1):
            time.sleep(0.05)
            lines = len(journal.read_bytes().splitlines()) if journal.exists() else before
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL  # in the midst of its work, not at its end
        words = ["resume", "killed", "-q"]
    assert subprocess.run([*command, *words], check=False).returncode == 0
    for name in SAME:
        assert (folder / "killed" / name).read_bytes() == (folder / "whole" / name).read_bytes()
