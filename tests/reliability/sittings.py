"""Sittings of runs that can be killed cheaply.

A zygote process imports everything once and forks a child for every sitting, which runs a recipe, or
resumes the folder if a run is there. `python sittings.py` is the zygote; `Zygote` talks to it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import faults
import strangers

SAME = (
    "result.json",
    "journal.jsonl",
    "recipe.toml",
    "winner/weights.safetensors",
    "winner/masks.safetensors",
    "winner/settings.json",
)
"""What must not show, in a single bit, that a run was interrupted."""

CRASH = 70
"""Exit code of an error that is not one of hyperprune's own."""


def contents(folder):
    return {name: (folder / name).read_bytes() for name in SAME}


def epochs_trained_twice(folder):
    """Epochs that were saved, and trained once more nevertheless, by all sittings together."""
    seen, twice = set(), []
    for line in (folder / "log.jsonl").read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if event["event"] == "EpochFinished":
            epoch = event["candidate"], event["epoch"]
            twice += [epoch] if epoch in seen else []
            seen.add(epoch)
    return twice


@dataclass(frozen=True)
class End:
    """How a sitting ended: an exit code, or the signal that killed it, and what it said."""

    code: int | None
    signal: int | None
    message: str


class Zygote:
    """Starts sittings, one at a time."""

    def __init__(self, cache):
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "HYPERPRUNE_AUTOLOAD": "0",
            "HYPERPRUNE_CACHE": str(cache),
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def sit(self, folder, recipe=None, **how):
        """One sitting; `recipe` is needed while there is no run.

        kill_after: seconds until it is sent a signal (`signal`, SIGKILL if not said), `times` of it;
        kill_at: a path whose appearance is the moment instead, however slow the machine.
        fault: see faults.installed. user: the id of who sits. stranger: see strangers.installed.
        """
        job = {"folder": str(folder), "recipe": str(recipe), **how}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return End(**json.loads(self.process.stdout.readline()))


def main():
    os.environ["HYPERPRUNE_AUTOLOAD"] = "0"
    import torch

    from hyperprune.plugins import registry

    torch.set_num_threads(1)
    for item in registry().contributions.values():
        item.parameters  # noqa: B018  imports what it needs
    weight = torch.nn.Parameter(torch.zeros(1))
    torch.optim.SGD([weight], lr=1.0).zero_grad()  # the first optimiser imports half of torch
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a stranger may print; ours is spoken for
            code, message = _sit(job)
            os.write(write, message.encode()[:60_000])
            os._exit(code)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            if not _ended(pipe, job.get("kill_after"), job.get("kill_at")):
                for _ in range(job.get("times", 1)):
                    os.kill(pid, job.get("signal", signal.SIGKILL))
                    time.sleep(0.01)
            message = pipe.read().decode(errors="replace")
        _, status = os.waitpid(pid, 0)
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        end = {"code": None if killed else os.WEXITSTATUS(status), "signal": killed}
        print(json.dumps({**end, "message": message}), flush=True)


def _ended(pipe, seconds, path):
    """Wait for the end, or until it is time to send the signal; whether the end came first."""
    if path is None:
        return bool(select.select([pipe], [], [], seconds)[0])
    while not select.select([pipe], [], [], 0.002)[0]:
        if Path(path).exists():
            return False
    return True


def _sit(job):
    """Run or resume; exit code and what is to be said."""
    from hyperprune import load_recipe, resume, run
    from hyperprune.errors import HyperpruneError

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        folder = Path(job["folder"])
        try:
            with (
                faults.installed(job.get("fault"), folder),
                strangers.installed(job.get("stranger")) as observers,
            ):
                if job.get("user"):
                    load_recipe(folder / "recipe.toml")  # another may not import
                    os.setresuid(*[job["user"]] * 3)
                if (folder / "run.json").exists():
                    resume(folder, observers=observers)
                else:
                    run(job["recipe"], folder=folder, observers=observers)
        except HyperpruneError as error:
            return error.exit_code, str(error)
        return 0, ""
    except KeyboardInterrupt:  # before the run had begun to listen
        return 130, "stopped"
    except BaseException:
        return CRASH, traceback.format_exc()


if __name__ == "__main__":
    main()
