"""A run of 500 candidates needs no more memory, files or threads at its end than near its beginning."""

import json
import os
import subprocess
import sys

import pytest

CANDIDATES = 500

MEASURE = """
import json, os, pathlib, sys, threading
import torch
import hyperprune
from hyperprune.events import CandidateProposed

torch.set_num_threads(1)
seen = []

def watch(event):
    if isinstance(event, CandidateProposed):
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        files = len(os.listdir("/proc/self/fd"))
        seen.append((pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files, threading.active_count()))

hyperprune.run(sys.argv[1], folder=sys.argv[2], overrides=sys.argv[3:], observers=[watch])
print(json.dumps(seen))
"""


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_long_run_does_not_grow(session_recipe, tmp_path, tally, record_property):
    done = subprocess.run(
        [
            *(sys.executable, "-c", MEASURE, session_recipe, tmp_path / "run"),
            *(f"search.candidates={CANDIDATES}", "train.epochs=4", "space.lr=[5.0, 20.0]"),
            *("rounds.keep=0.004", "final.finalists=1"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "HYPERPRUNE_AUTOLOAD": "0", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(seen) == CANDIDATES
    (early, files, threads), (late, files_late, threads_late) = seen[100], seen[-1]
    print(f"memory: {early:.0f} MiB after 100 candidates, {late:.0f} MiB after {CANDIDATES}")
    tally["toy candidates in one run"] += CANDIDATES
    assert late < early * 1.05
    assert (files_late, threads_late) == (files, threads)
