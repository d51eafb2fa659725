"""Real processes: a worker that is killed costs its candidate an epoch, a killed parent no orphans."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sittings import contents, epochs_trained_twice

CLI = "from hyperprune.cli import main; raise SystemExit(main())"

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")


def start(*arguments):
    """The command line in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYPERPRUNE_AUTOLOAD": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", CLI, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def workers_of(pid):
    """Worker processes of a run, which divide from one that it started."""
    return [
        int(worker)
        for nursery in children(pid)
        if is_nursery(nursery)
        for worker in children(nursery)
    ]


def children(pid):
    """Processes that one has started."""
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def is_nursery(pid):
    """Whether a process divides into workers, or came from one that does."""
    return b"forkserver" in said(pid)


def said(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def until(condition, process=None, patience=120):
    """Wait for something; a process that ends meanwhile is a failure."""
    for _ in range(patience * 20):
        if found := condition():
            return found
        assert process is None or process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def test_killed_workers_and_parents_leave_a_run_that_goes_on(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally
):
    folder = tmp_path / "run"
    process = start("run", session_recipe, "--workers", 2, "--out", folder)
    until(lambda: list(folder.glob("c*/checkpoint.safetensors")), process)
    alive = workers_of(process.pid)
    assert len(alive) == 2
    os.kill(alive[0], signal.SIGKILL)
    until(lambda: set(workers_of(process.pid)) - set(alive), process)  # a new one took its place
    alive = workers_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: not any(is_nursery(pid) for pid in alive))  # no orphans
    facts = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    failed = [fact["failure"] for fact in facts if fact["fact"] == "trained" and fact["failure"]]
    assert all(failure["kind"] == "diverged" for failure in failed)  # the killed one was retried

    recipe = folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("workers = 2", "workers = 1"))
    end = zygote.sit(folder)
    assert end.code == 0, end.message
    tally["processes killed"] += 2
    assert epochs_trained_twice(folder) == []
    same = {name for name in undisturbed.contents if name not in ("recipe.toml", "journal.jsonl")}
    found = contents(folder)
    assert {name: found[name] for name in same} == {
        name: undisturbed.contents[name] for name in same
    }


@pytest.mark.soak
@pytest.mark.parametrize(
    ("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1)]
)
def test_workers_stop_when_they_are_asked(session_recipe, tmp_path, tally, number, times):
    folder = tmp_path / "run"
    process = start("run", session_recipe, "--workers", 2, "--out", folder)
    until(lambda: list(folder.glob("c*/checkpoint.safetensors")), process)
    alive = workers_of(process.pid)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert f"hyperprune resume {folder}" in output.replace("\n", " ")
    assert "Traceback" not in output
    until(lambda: not any(is_nursery(pid) for pid in alive))
    tally["stops by signal"] += 1


@pytest.mark.soak
def test_ctrl_c_while_workers_start_leaves_no_traceback(session_recipe, tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", CLI, "run", session_recipe, "--workers", "2", "--out", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HYPERPRUNE_AUTOLOAD": "0"},
        start_new_session=True,
    )
    until(lambda: workers_of(process.pid), process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "Traceback" not in output
