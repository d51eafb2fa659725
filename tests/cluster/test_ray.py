"""Ray itself, with several nodes: the same bits as processes, whatever is lost on the way.

pip install -e '.[test,ray]' && pytest -m cluster
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import hyperprune
from hyperprune import events
from hyperprune.errors import RunError
from hyperprune.plugins import registry
from hyperprune.recipe import dumps
from hyperprune.testing import check, tiny_arrays, tiny_recipe, tiny_run, tiny_text
from hyperprune.testing.executors import crew, done_here, files, job_of, reference

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's sockets and processes
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SAME = ("journal.jsonl", "result.json", "winner/weights.safetensors", "winner/masks.safetensors")
CLI = "from hyperprune.cli import main; raise SystemExit(main())"
APART = "search.executor={name='ray', shared=false}"
LONG = 60


def contents(folder):
    return {name: (folder / "run" / name).read_bytes() for name in SAME}


def log_of(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def until(condition, patience=240):
    for _ in range(patience * 10):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")


def opened(emit, **options):
    return registry().bind("executor", "ray", options)(crew(emit))


@pytest.fixture(scope="module")
def by_processes(tmp_path_factory):
    """The tiny run by two processes."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "cache"))
        tiny_run(folder, "search.workers=2")
    return folder


def test_a_run_is_that_of_processes_to_the_bit(cluster, by_processes, tmp_path):
    """No shared folder: every file comes through the object store."""
    tiny_run(tmp_path, "search.workers=2", APART)
    assert contents(tmp_path) == contents(by_processes)
    changes = [line for line in log_of(tmp_path / "run") if line["event"] == "WorkerChanged"]
    assert {line["worker"] for line in changes} == {"w1", "w2"}
    trained = {line["candidate"] for line in changes if line["state"] == "working"}
    assert trained == {"dense", "c000", "c001"}
    assert not list((tmp_path / "run").glob(".seen-*"))


@pytest.mark.slow
def test_the_quickstart_is_that_of_processes_to_the_bit(cluster, tmp_path):
    for name, executor in (("processes", "processes"), ("ray", APART.partition("=")[2])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HYPERPRUNE_CACHE", str(tmp_path / name / "cache"))
            settings = ["search.workers=2", "train.threads=1", f"search.executor={executor}"]
            hyperprune.run("quickstart", overrides=settings, folder=tmp_path / name / "run")
    assert contents(tmp_path / "ray") == contents(tmp_path / "processes")


OWN_TASK = """
from hyperprune import hookimpl
from hyperprune.builtin.tasks import TASKS

print("read from", __file__)


@hookimpl
def hyperprune_tasks():
    return {"mine": TASKS["classification"]}
"""


def test_sequences_and_the_runs_own_code_come_to_whoever_sees_no_folder(cluster, tmp_path):
    (tmp_path / "own.py").write_text(OWN_TASK)
    settings = ["spectrum.burn_in=0", "spectrum.steps=5", "train.lr=0.5", "search.workers=2"]
    recipe = tiny_recipe(tiny_arrays(tmp_path / "arrays"), *settings)
    (tmp_path / "recipe.toml").write_text(dumps(recipe))
    for name, executor in (("processes", "processes"), ("ray", APART.partition("=")[2])):
        own = ["data.corpus=arrays", "task.name=mine", f"search.executor={executor}"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HYPERPRUNE_CACHE", str(tmp_path / name / "cache"))
            hyperprune.run(
                tmp_path / "recipe.toml",
                overrides=own,
                plugins=[tmp_path / "own.py"],
                folder=tmp_path / name / "run",
            )
    assert contents(tmp_path / "ray") == contents(tmp_path / "processes")
    said = [
        line["message"]
        for line in log_of(tmp_path / "ray" / "run")
        if line["event"] == "WorkerSaid"
    ]
    assert said
    assert all("hyperprune-workers-" in line for line in said if "read from" in line)


def test_what_the_object_store_lost_is_sent_again(cluster, tmp_path, monkeypatch):
    """A job's text, and the checkpoint it goes on from, are gone before its worker asks for them."""
    job = job_of(tmp_path, "c000", epochs=2)
    wanted, told = done_here(job), []
    with opened(told.append, shared=False) as executor:
        executor.wait(executor.submit(replace(job, epochs=1)))
        ray, put, lost = executor.ray, executor.ray.put, []

        class Keeper:
            def keep(self, value):
                return [put(value)]

        def losing(value):
            if len(lost) == 2:
                return put(value)
            keeper = ray.remote(num_cpus=0)(Keeper).remote()
            lost.extend(ray.get(keeper.keep.remote(value)))
            ray.kill(keeper)  # what it kept goes with it
            with contextlib.suppress(ray.exceptions.RayActorError):
                while True:  # a worker that is quicker than the kill would find it
                    ray.get(keeper.keep.remote(None))
            return lost[-1]

        executor._texts.clear()
        monkeypatch.setattr(executor.ray, "put", losing)
        assert executor.wait(executor.submit(job)) == wanted
    assert len(lost) == 2
    said = [event.message for event in told if isinstance(event, events.Notice)]
    assert said == ["c000 is sent again: the object store lost what it needs"]
    assert files(job.folder) == files(reference(job).folder)


def test_it_keeps_the_contract(cluster):
    """Outcomes asked for late, a worker killed, a listener that fails, a stop; files sent back."""
    check(registry().get("executor", "ray"), shared=False)


@pytest.mark.slow
def test_it_keeps_the_contract_where_workers_see_the_folder(cluster):
    check(registry().get("executor", "ray"))


def test_a_job_goes_on_when_its_node_is_lost(cluster, node, tmp_path):
    """The node is killed in mid-epoch; another has room, and goes on from the last epoch."""
    job = job_of(tmp_path, "c000", f"train.epochs={LONG}", epochs=LONG)
    wanted = done_here(job)
    extra = node()  # the only one that has what the job asks for, until there is another
    told, lost = [], []

    def emit(event):
        told.append(event)
        if isinstance(event, events.EpochFinished) and event.epoch >= 2 and not lost:
            lost.append(event.epoch)
            extra.kill_raylet()
            node(resources={"place": 1})

    cluster.remove_node(extra)
    extra = node(resources={"place": 1})
    with opened(emit, shared=False, resources={"cpu": 1, "place": 1}) as executor:
        outcome = executor.wait(executor.submit(job))
    assert lost
    assert outcome == wanted
    assert files(job.folder) == files(reference(job).folder)
    gone = [e for e in told if isinstance(e, events.WorkerChanged) and e.state == "gone"]
    assert [event.cause for event in gone] == ["its node was lost"]
    assert any("goes on elsewhere" in e.message for e in told if isinstance(e, events.Notice))
    epochs = [event.epoch for event in told if isinstance(event, events.EpochFinished)]
    assert epochs == sorted(set(epochs)) == list(range(1, LONG + 1))  # none was trained twice


def test_a_node_with_other_versions_is_refused_by_name(cluster, node, tmp_path):
    """Its torch is another, as far as its metadata says; nothing of it is imported there."""
    about = tmp_path / "torch-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    node(resources={"odd": 1}, env_vars={"PYTHONPATH": str(tmp_path)})
    told = []
    with (
        pytest.raises(RunError, match=r"every node .* was refused:\n.*torch 1\.0 there, "),
        opened(told.append, resources={"cpu": 1, "odd": 1}) as executor,
    ):
        executor.wait(executor.submit(job_of(tmp_path, "c000")))
    refused = [e for e in told if isinstance(e, events.WorkerChanged) and e.state == "refused"]
    assert refused
    assert "torch 1.0 there" in refused[0].cause


@pytest.mark.slow
def test_a_killed_driver_leaves_no_worker_and_a_run_that_goes_on_anywhere(cluster, tmp_path):
    """On Ray and on processes, to the result of a run that nobody killed."""
    settings = ["search.workers=2", "train.epochs=40", "rounds.first=30", "search.candidates=3"]
    tiny_run(tmp_path / "whole", *settings)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(dumps(tiny_recipe(tiny_text(tmp_path / "text"), *settings)))
    run = tmp_path / "killed" / "run"
    words = ["run", recipe, "--ray", cluster.address, "--out", run]
    process = subprocess.Popen(
        [sys.executable, "-c", CLI, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    until(lambda: list(run.glob("c*/checkpoint.safetensors")) or process.poll() is not None)
    pids = {line["pid"] for line in log_of(run) if line["event"] == "WorkerChanged"}
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(pids) == 2
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    shutil.copytree(tmp_path / "killed", tmp_path / "copy")
    hyperprune.resume(run)
    hyperprune.resume(tmp_path / "copy" / "run", overrides=["search.executor=processes"])
    whole = contents(tmp_path / "whole")
    for name in ("killed", "copy"):
        found = contents(tmp_path / name)
        assert {key: found[key] for key in SAME[1:]} == {key: whole[key] for key in SAME[1:]}
