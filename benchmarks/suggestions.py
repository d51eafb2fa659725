"""Time a suggestion while 64 candidates train: with 10, 100 and 400 results known.

python benchmarks/suggestions.py [--out benchmarks/results/suggestions.json]

Processor seconds of one thread, the median of several calls, on the space of `benchmarks/searcher.py`; the
first call of a process, which imports Ax, is not counted. Suggestions keep up with W workers where one
takes less than a candidate's first epochs divided by W.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from datetime import date
from pathlib import Path

import torch
from searcher import SPACE, history

from hyperprune.builtin.searchers import SEARCHERS

PENDING = 64
KNOWN = (10, 100, 400)
TIMES = 3
CANDIDATE = 3 * 42.0
"""Seconds of a candidate's first three epochs: PTB, 2 x 200, one thread of a CPU with bfloat16."""


def timed(name: str, known: int, seed: int) -> float:
    rng = random.Random(seed)
    pending = [SPACE.sample(rng) for _ in range(PENDING)]
    seen = history(known, seed + 1)
    before = time.process_time()
    SEARCHERS[name](SPACE, seen, pending, seed)
    return time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/suggestions.json"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    timed("ax", 20, 0)
    rows = []
    for name in ("ax", "random"):
        for known in KNOWN:
            took = statistics.median(timed(name, known, seed) for seed in range(TIMES))
            row = {
                "searcher": name,
                "known": known,
                "pending": PENDING,
                "seconds": round(took, 3),
                "workers_kept_busy": int(CANDIDATE / max(took, 1e-6)),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
    found = {
        "made": date.today().isoformat(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "candidate_seconds": CANDIDATE,
        "rows": rows,
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
