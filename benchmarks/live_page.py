"""What the live page costs: time of an answer, memory, and what it takes from a run beside it.

python benchmarks/live_page.py [AHEAD]     # writes benchmarks/results/live_page.json

A folder of copies of the recorded run is served by `hyperprune serve`, as a user would. Step times of
a training in this process are taken by turns with nobody asking and with a hundred reloads a second.
Training and server share one core, the worst case, and who asks has another: readers sit elsewhere.
AHEAD (root only) puts all three so far ahead of what else the machine does, in steps of nice.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from hyperprune.serve.run import NICE

HERE = Path(__file__).resolve().parent
RECORDED = HERE.parent / "docs" / "recorded" / "quickstart"
RATE = 100
"""Reloads a second."""
READERS = 20
"""Readers that ask side by side: one that waits for its answer does not hold up the others."""
TURN, TURNS = 3.0, 8
"""Seconds of a turn, and how many there are of each kind."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """Serve a folder; gives address and process."""
    command = [sys.executable, "-m", "hyperprune", "serve", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            wait_for(address)
            yield address, process.pid
        finally:
            process.terminate()


def wait_for(address: str) -> None:
    """Wait until somebody answers."""
    for _ in range(600):
        try:
            ask(address)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


def ask(address: str) -> tuple[int, int]:
    """One request: its status, and the bytes of the answer."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=600)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    finally:
        connection.close()


def timed(address: str, times: int) -> list[float]:
    """Seconds of so many answers, one after the other."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        status, _ = ask(address)
        assert status == 200, status
        found.append(time.perf_counter() - began)
    return found


def memory(process: int) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor(process: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Reloads:
    """A process that asks for pages in turn, RATE times a second, while it is on."""

    def __init__(self, addresses: list[str]) -> None:
        command = [sys.executable, __file__, "--reload", *addresses]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, word: str) -> str:
        """Switch on or off; gives what it says."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def reload(addresses: list[str]) -> None:
    """What the asking process does: obeys `on`, `off` and `end` on standard input."""
    pin(-1)
    on, asked = threading.Event(), [0]

    def asking() -> None:
        due = time.perf_counter()
        while on.wait():
            due = max(due + READERS / RATE, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))
            ask(addresses[asked[0] % len(addresses)])
            asked[0] += 1

    for _ in range(READERS):
        threading.Thread(target=asking, daemon=True).start()
    for word in sys.stdin:
        (on.set if word.strip() == "on" else on.clear)()
        print(asked[0], flush=True)
        if word.strip() == "end":
            return


class Training:
    """Steps of a network of the quickstart's size, in one thread, as a run's worker takes them."""

    def __init__(self, batch: int = 10, length: int = 20, words: int = 2000) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.embedding, self.recurrent = nn.Embedding(words, 64), nn.LSTM(64, 64, 2)
        self.decoder = nn.Linear(64, words)
        parts = (self.embedding, self.recurrent, self.decoder)
        self.optimizer = torch.optim.SGD([p for part in parts for p in part.parameters()], lr=1.0)
        self.tokens = torch.randint(words, (length + 1, batch))

    def steps(self, seconds: float) -> list[float]:
        """Seconds of each step, for so long."""
        found, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.perf_counter()
            self.optimizer.zero_grad()
            out = self.decoder(self.recurrent(self.embedding(self.tokens[:-1]))[0])
            nn.functional.cross_entropy(out.flatten(0, 1), self.tokens[1:].flatten()).backward()
            self.optimizer.step()
            found.append(time.perf_counter() - began)
        return found


def answered(address: str, process: int, times: int = 1) -> dict[str, float]:
    """Milliseconds of an answer: median and slowest by the clock, mean of the server's processor."""
    before = processor(process)
    found = timed(address, times)
    spent = (processor(process) - before) / times
    return {
        "median_ms": round(1e3 * statistics.median(found), 1),
        "slowest_ms": round(1e3 * max(found), 1),
        "processor_ms": round(1e3 * spent, 1),
    }


def pin(core: int, process: int = 0) -> None:
    """Keep a process to one of the machine's cores, its later threads too."""
    os.sched_setaffinity(process, {range(os.cpu_count() or 1)[core]})


def disturbed(addresses: list[str]) -> dict[str, float]:
    """Step times of a training with nobody asking, and with RATE reloads a second, by turns."""
    reloads, training = Reloads(addresses), Training()
    reloads.tell("on")
    training.steps(1.0)
    alone: list[float] = []
    beside: list[float] = []
    total, spent = 0, 0.0
    for _ in range(TURNS):
        reloads.tell("off")
        alone += training.steps(TURN)
        since, began = int(reloads.tell("on")), time.perf_counter()
        beside += training.steps(TURN)
        total += int(reloads.tell("off")) - since
        spent += time.perf_counter() - began
    reloads.tell("end")
    medians = statistics.median(alone), statistics.median(beside)
    return {
        "reloads_per_second": round(total / spent, 1),
        "step_ms_alone": round(1e3 * medians[0], 3),
        "step_ms_beside": round(1e3 * medians[1], 3),
        "ratio": round(medians[1] / medians[0], 4),
    }


def main(ahead: int = 0, runs: int = 50, looked_at: int = 16) -> None:
    """Measure, say, and write down."""
    said: dict[str, Any] = {"runs": runs, "pages": looked_at, "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "runs"
        for number in range(runs):
            shutil.copytree(RECORDED, folder / f"run-{number:02d}")
        with served(folder) as (address, process):
            pages = [f"{address}run/run-{number:02d}/" for number in range(looked_at)]
            for task in Path(
                f"/proc/{process}/task"
            ).iterdir():  # answers are not to wait for others
                os.setpriority(os.PRIO_PROCESS, int(task.name), -ahead)
            said["list, first look"] = answered(address, process)
            said["list"] = answered(address, process, 50)
            said["page, first look"] = [answered(page, process) for page in pages[:4]][-1]
            sizes = [memory(process)]
            for page in pages:
                ask(page)
            sizes.append(memory(process))
            said["page"] = [answered(page, process, 10) for page in pages[:4]][-1]
            said["progress"] = answered(pages[0] + "progress.json", process, 50)
            for page in pages * 5:
                ask(page)
            sizes.append(memory(process))
            for task in Path(f"/proc/{process}/task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(task.name), NICE - ahead)
                pin(0, int(task.name))
            pin(0)
            os.setpriority(os.PRIO_PROCESS, 0, -ahead)
            said["training beside it"] = disturbed([address, pages[0], pages[0] + "progress.json"])
            sizes.append(memory(process))
    moments = ("four pages", "every page", "every page six times", "the reloads")
    said["memory_mb after"] = dict(zip(moments, map(round, sizes), strict=True))
    said["load of the machine"] = os.getloadavg()[0]
    text = json.dumps(said, indent=2)
    print(text)
    (HERE / "results" / "live_page.json").write_text(text + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--reload"]:
        reload(sys.argv[2:])
    else:
        main(*(int(word) for word in sys.argv[1:2]))
