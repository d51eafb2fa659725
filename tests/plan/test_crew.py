"""How many workers and threads: as a recipe says, or as its executor finds room for."""

import pytest

from hyperprune.builtin.executors import processes as offered
from hyperprune.builtin.executors.worker_processes import fitting
from hyperprune.plan import crew
from hyperprune.plan.crew import PROCESS, Asked, resources, shared_out, worker_bytes
from hyperprune.runtime import machine
from hyperprune.testing import tiny_recipe, tiny_text

GIB = 2**30
MODULE = "hyperprune.builtin.executors.worker_processes"


@pytest.fixture
def eight_cores(monkeypatch):
    for place in (MODULE, "hyperprune.plan.crew"):
        monkeypatch.setattr(f"{place}.cores", lambda: 8)
    monkeypatch.setattr(f"{MODULE}.gpus", lambda: ())


@pytest.mark.parametrize(
    ("asked", "free", "found"),
    [
        (Asked(0, 0, GIB, True), 100 * GIB, (8, 1)),  # a thread each
        (Asked(0, 0, GIB, True), 3 * GIB, (3, 2)),  # memory for three; cores are shared out
        (Asked(0, 0, GIB, True), GIB // 2, (1, 8)),  # one in any case
        (Asked(0, 4, GIB, True), 100 * GIB, (8, 4)),  # threads that are said stay
        (Asked(3, 0, 0, True), 0, (3, 2)),  # so do workers
    ],
)
def test_workers_on_cpus(eight_cores, monkeypatch, asked, free, found):
    monkeypatch.setattr(f"{MODULE}.free_memory", lambda: free)
    assert fitting(asked, 1) == found


@pytest.mark.parametrize(
    ("each", "free", "workers"),
    [
        (1, [40 * GIB, 40 * GIB], 2),
        (3, [40 * GIB, 40 * GIB], 6),
        (3, [40 * GIB, 5 * GIB], 4),  # 2 fit on the fuller one
        (3, [40 * GIB, 0], 2),
    ],
)
def test_workers_on_gpus(eight_cores, monkeypatch, each, free, workers):
    monkeypatch.setattr(f"{MODULE}.gpus", lambda: ("0", "1"))
    monkeypatch.setattr(f"{MODULE}.free_gpu_memory", lambda: free)
    assert fitting(Asked(0, 1, 2 * GIB, True), each) == (workers, 1)
    monkeypatch.setattr(f"{MODULE}.free_memory", lambda: 100 * GIB)
    assert fitting(Asked(0, 1, 2 * GIB, False), each) == (8, 1)  # train.device = "cpu"


@pytest.mark.parametrize(
    ("visible", "count", "found"),
    [
        (None, 2, ("0", "1")),
        ("3,5", 2, ("3", "5")),
        ("GPU-a, GPU-b", 2, ("GPU-a", "GPU-b")),
        ("1,-1,2", 1, ("1",)),  # CUDA stops at the first that is none
        ("", 0, ()),
    ],
)
def test_visible_gpus_keep_their_names(monkeypatch, visible, count, found):
    monkeypatch.delenv(machine.VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(machine.VISIBLE, visible)
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert machine.gpus() == found


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert machine.free_memory() == 3000
    (tmp_path / "memory.stat").write_text("anon 500\nactive_file 700\ninactive_file 800\n")
    assert machine.free_memory() == 3800  # files that were read, and are read no more, make way
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_memory() > 3000


def test_a_recipe_is_answered_by_its_executor(tmp_path, monkeypatch):
    text = tiny_text(tmp_path)
    asked = []

    def fit(given, *, workers_per_gpu=1):
        asked.append((given, workers_per_gpu))
        return 5, 3

    monkeypatch.setattr(offered, "fit", fit)
    settings = ["search.workers=auto", "search.executor={name='processes', workers_per_gpu=2}"]
    recipe = tiny_recipe(text, *settings)
    assert resources(recipe) == (5, 3)
    assert asked == [(Asked(0, 1, worker_bytes(recipe), False), 2)]
    assert worker_bytes(recipe) > PROCESS
    monkeypatch.delattr(offered, "fit")
    monkeypatch.setattr(crew, "cores", lambda: 8)
    assert resources(tiny_recipe(text, "train.threads=0", "search.workers=4")) == (4, 2)
    assert shared_out(16, 0) == (16, 1)
