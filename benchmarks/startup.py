"""From the command to the first training step: `hyperprune run quickstart`, warm disk.

    python benchmarks/startup.py [--rounds 5] [--write]

Each round starts a process that carries out the quickstart and ends itself once it is told of its first step,
by the command and from Python, with one worker (in that process) and with two (of their own). Seconds by the
clock from before the process is there, which include what else the machine does; a bare `import torch` beside
them, in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from hardware import processor

ENDS = """
import os, signal, time
import hyperprune
from hyperprune.events import StepFinished
def ends(event):
    if isinstance(event, StepFinished):
        print(time.time(), flush=True)
        os.killpg(0, signal.SIGKILL)
@hyperprune.hookimpl
def hyperprune_observers():
    return {"ends": lambda folder: ends}
"""
RUN = """
import sys
import hyperprune
from ends import ends
if __name__ == "__main__":
    workers = f"search.workers={sys.argv[2]}"
    hyperprune.run("quickstart", folder=sys.argv[1], overrides=[workers], observers=[ends])
"""
TORCH = "import time, torch; print(time.time())"


def seconds(command: list[str]) -> float:
    """Seconds until the command prints what time it is."""
    began = time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    return float(done.stdout) - began


def main() -> None:
    """The sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        script, observer = Path(folder) / "first_step.py", Path(folder) / "ends.py"
        script.write_text(RUN)
        observer.write_text(ENDS)
        command = [
            *(sys.executable, "-m", "hyperprune", "run", "quickstart", "--quiet"),
            *("--plugin", str(observer), "--observe", "ends"),
        ]
        for round_ in range(asked.rounds + 1):  # the first warms the disk
            sides = {"import torch": [sys.executable, "-c", TORCH]}
            for workers in ("1", "2"):
                place = str(Path(folder) / f"{workers}-{round_}")
                sides[f"the command, workers = {workers}"] = [
                    *command, "--workers", workers, "--out", place,
                ]  # fmt: skip
                sides[f"from Python, workers = {workers}"] = [
                    sys.executable, str(script), place + "p", workers,
                ]  # fmt: skip
            for name, side in sides.items():
                taken = seconds(side)
                if round_:
                    found.setdefault(name, []).append(taken)
    result = {
        name: {"least": min(all_), "median": statistics.median(all_)}
        for name, all_ in found.items()
    }
    print(json.dumps(result, indent=2))
    if asked.write:
        stamp = {"date": datetime.now(UTC).date().isoformat(), "processor": processor()}
        text = json.dumps(stamp | {"rounds": asked.rounds, "seconds": result}, indent=2) + "\n"
        (Path(__file__).parent / "results" / "startup.json").write_text(text)


if __name__ == "__main__":
    main()
