"""What a run counts: every epoch that was trained, whoever it was trained for."""

import json

import hyperprune
from hyperprune.execution import worker
from hyperprune.recipe import loads
from hyperprune.recipe.write import inline
from hyperprune.testing import tiny_text

STUDY = """
seeds = 2
model = {{ name = "rnn", hidden = 4, layers = 1 }}
train = {{ epochs = 2, lr = 1.0, batch = 4, bptt = 5, threads = 1, device = "cpu" }}
spectrum.measure = false
data = {{ corpus = "text", root = {root} }}
[[arms]]
name = "a"
removal_rate = 0.3
[[arms]]
name = "b"
removal_rate = 0.6
"""


def test_epochs_of_an_arm_whose_first_seed_failed_are_counted(tmp_path, monkeypatch):
    recorded = worker.recorded
    trained = []

    def failing(metrics, *rest):
        trained.append(metrics.epoch)
        if len(trained) == 2 * 2 + 2:  # after the dense network's seeds: the last epoch of the next
            raise ValueError("mine")
        return recorded(metrics, *rest)

    monkeypatch.setattr(worker, "recorded", failing)
    root = inline(str(tiny_text(tmp_path / "text")))
    result = hyperprune.run(loads(STUDY.format(root=root)), folder=tmp_path / "run")
    journal = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    known = [fact for fact in map(json.loads, journal) if fact["fact"] == "trained"]
    sparse = [fact for fact in known if not fact["candidate"].startswith("dense")]
    assert any(fact["failure"] for fact in sparse)
    assert result.search_epochs == sum(len(fact["epochs"]) for fact in sparse) == 2 * 4 - 1
