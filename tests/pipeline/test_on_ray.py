"""What needs no Ray of the executor on Ray; tests/cluster has the rest."""

import socket
import sys

import pytest

from hyperprune.builtin.executors import ray_cluster, ray_worker
from hyperprune.builtin.executors.on_ray import differences
from hyperprune.cli import main
from hyperprune.errors import PluginError, RecipeError, RunError, Stopped
from hyperprune.plan.crew import Asked
from hyperprune.recipe import dumps
from hyperprune.report.checks import check_installation
from hyperprune.testing import tiny_recipe, tiny_run, tiny_text

EIGHT = Asked(0, 0, 0, False)


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)


def test_without_the_extra_it_says_what_to_install(absent, tmp_path, monkeypatch, capsys):
    with pytest.raises(RunError, match=r"pip install 'hyperprune\[ray\]'"):
        tiny_run(tmp_path, "search.executor=ray", "search.workers=2")
    assert not (tmp_path / "run").exists()
    recipe = tmp_path / "r.toml"
    recipe.write_text(dumps(tiny_recipe(tiny_text(tmp_path / "text"))))
    words = ["hyperprune", "run", str(recipe), "--executor", "ray", "-o", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 2
    assert "pip install 'hyperprune[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    found = {check.name: check for check in check_installation()}
    assert (found["executor ray"].state, "pip install" in found["executor ray"].found) == (
        "note",
        True,
    )


class FakeRay:
    """A cluster as Ray lists it."""

    def __init__(self, *nodes):
        self.listed = [
            {"NodeID": f"n{i}", "Alive": alive, "Resources": resources}
            for i, (alive, resources) in enumerate(nodes)
        ]

    def nodes(self):
        return self.listed

    def is_initialized(self):
        return True


def test_workers_fit_node_by_node(monkeypatch):
    # 8 CPUs hold two of 3, not 2.67; the node that is gone holds none
    cluster = FakeRay(
        (True, {"CPU": 8.0, "GPU": 1.0}), (True, {"CPU": 3.0, "odd": 2.0}), (False, {"CPU": 64.0})
    )
    monkeypatch.setattr(ray_cluster, "library", lambda: cluster)
    assert ray_cluster.room({"CPU": 3.0}) == 3
    assert ray_cluster.room({"CPU": 3.0}, refused={"n0"}) == 1
    assert ray_cluster.room({"CPU": 1.0, "GPU": 0.5}) == 2
    assert ray_cluster.room({"CPU": 1.0, "odd": 1.0}) == 2
    assert ray_cluster.room({"CPU": 16.0}) == 0
    assert ray_cluster.room_for(EIGHT, "", {"cpu": 3.0}) == (3, 3)
    assert ray_cluster.room_for(Asked(5, 2, 0, True), "", {}) == (5, 2)
    assert ray_cluster.demand({}, 2, gpu=True) == {"cpu": 2.0, "gpu": 1.0}
    assert ray_cluster.demand({"cpu": 1, "gpu": 0.5}, 2, gpu=True) == {"cpu": 1, "gpu": 0.5}
    assert ray_cluster.demand({}, 2, gpu=False) == {"cpu": 2.0, "gpu": 0.0}


def test_nobody_at_an_address_leaves_no_run(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "library", FakeRay)
    monkeypatch.setattr(FakeRay, "is_initialized", lambda self: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RunError, match="no Ray cluster answers at '127"):
            tiny_run(tmp_path, f"search.executor={{name='ray', address='{address}'}}")
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:99999999")
    with pytest.raises(RunError, match="99999999"):
        ray_cluster.named("")
    assert ray_cluster.named("auto") == "auto"


def test_how_ray_is_asked(monkeypatch):
    how = ray_cluster.options({"cpu": 4, "gpu": 0.5, "big": 1}, refused=["b", "a"])
    assert how["resources"] == {"big": 1}
    assert (how["num_cpus"], how["num_gpus"], how["max_restarts"]) == (4, 0.5, 0)
    assert how["label_selector"] == {"ray.io/node-id": "!in(a,b)"}
    assert ray_cluster.described({"cpu": 4, "gpu": 0.5, "big": 0}) == "4 cpu, 0.5 gpu"


def test_resources_may_be_said_as_ray_says_them():
    said = {"CPU": 4.0, "Gpu": 0.5, "Big": 1.0}
    assert ray_cluster.demand(said, 1, False) == {"cpu": 4.0, "gpu": 0.5, "Big": 1.0}


def test_workers_leave_the_folders_of_those_who_work(tmp_path, monkeypatch):
    """Two at work and one that died, whose folder goes; process ids say nothing between containers."""
    monkeypatch.setattr(ray_worker.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ray_worker.os, "getpid", lambda: 2**30)
    one, two, died = (ray_worker.Worker(name) for name in ("w1", "w2", "w3"))
    folders = [worker._folder("c000") for worker in (one, died)]
    died._held.close()
    folders.append(two._folder("c000"))
    assert [folder.is_dir() for folder in folders] == [True, False, True]
    one._held.close()
    two._held.close()


def test_what_is_expected_of_a_worker_stays_so_on_its_way():
    for error, kind, words in (
        (PluginError("mine.py cannot be used"), RunError, "mine.py cannot be used"),
        (RecipeError(["a", "b"]), RunError, "a\nb"),
        (Stopped("stopped"), Stopped, "stopped"),
        (ValueError("odd"), RuntimeError, "ValueError: odd"),
    ):
        found = ray_worker._portable(error)
        assert (type(found), str(found)) == (kind, words)


def test_versions_differ_by_name():
    ours = {"hyperprune": "0.1.0", "torch": "2.13.0", "hyperprune-mgu": "1.0"}
    theirs = {"hyperprune": "0.1.0", "torch": "2.12.1", "something": "3"}
    assert differences(ours, ours) == ""
    assert differences(ours, theirs) == (
        "hyperprune-mgu is not installed there, 1.0 here, torch 2.12.1 there, 2.13.0 here"
    )
    assert {"hyperprune", "torch"} <= set(ray_worker.versions())


def test_an_answer_that_was_lost_is_given_again():
    worker = ray_worker.Worker("w1")
    worker._say("event", 1)
    worker._say("event", 2)
    assert worker.talk(1, 0.0) == [("event", 1), ("event", 2)]
    worker._say("done", 3)
    assert worker.talk(1, 0.0) == [("event", 1), ("event", 2)]
    assert worker.talk(2, 0.0) == [("done", 3)]
    assert worker.talk(3, 0.0) == []
